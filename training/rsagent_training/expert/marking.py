"""One mask of one thing: a first prompt in some manner, a look at what came of it, corrections until it is right."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias

from rsagent_ros.agent.actions import Combine, Segment, Zoom
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.mask import area
from rsagent_training.expert.config import Manner
from rsagent_training.expert.episode_state import EpisodeState, ExpertReply, Replies
from rsagent_training.expert.mask_difference import FaultRegion, MaskDifference, inside, side
from rsagent_training.expert.mistakes import beside, perhaps_spoiled
from rsagent_training.expert.pointing import around, spot_words, words
from rsagent_training.expert.surroundings import Other, could_be_meant, likely_first

_OTHER = 0.3
"""IoU under which a mask shows something else, and there is nothing to correct about it."""

_TOUCHES = 0.05
"""IoU from which on it does show a part of the thing."""

_VISIBLE = 0.04
"""Share from which on something missing or too much can be seen at a glance."""

Fix: TypeAlias = Callable[[str], Replies]


def mark(state: EpisodeState, target: int, manner: Manner, lead: str, keep: int) -> Generator[ExpertReply, None, int]:
    """Mark the target of that number, which is in view.

    Args:
        state: State of the episode.
        target: Number of the scene's mask.
        manner: The manner of the first prompt.
        lead: The thought that leads to it.
        keep: Turns to leave over.

    Returns:
        Id of the best mask; 0 where none was had.
    """
    return (yield from _Marking(state, target, keep).run(manner, lead))


class _Marking:
    """The state of marking one thing."""

    def __init__(self, state: EpisodeState, target: int, keep: int) -> None:
        self._state = state
        self._target = target
        self._keep = keep
        self._best = 0
        self._best_iou = 0.0
        self._tried: set[str] = set()

    def run(self, manner: Manner, lead: str) -> Generator[ExpertReply, None, int]:
        state = self._state
        yield from self._first(manner, lead)
        for _ in range(state.config.corrections + 1):
            if state.newest and (found := self._compared(state.newest).iou) > self._best_iou:
                self._best, self._best_iou = state.newest, found
            if self._best_iou >= state.config.good or not self._spare(1):
                break
            fixes = self._fixes()
            if not fixes:
                break
            name, fix = fixes[0]
            self._tried.add(name)
            yield from fix(self._judgement())
        return self._best

    def _spare(self, turns: int) -> bool:
        """Whether that many turns can still be spent here."""
        return self._state.turns_left - turns >= self._keep

    def _compared(self, mask: int) -> MaskDifference:
        return self._state.compared(mask, self._target)

    # --- the first prompt

    def _first(self, manner: Manner, lead: str) -> Replies:
        state, rng = self._state, self._state.rng
        box = state.target_box(self._target)
        visible = [other for other in state.surroundings.others if state.point.shows(other.box)]
        rivals = could_be_meant(likely_first(visible, state.scene.instruction), state.scene.instruction)
        match manner:
            case "wrong_thing" if rivals:
                other = rivals[int(rng.integers(min(2, len(rivals))))]
                there = state.point.box(other.box)
                thought = state.thought("mistaken", other=other.words, box=words(there))
                yield state.reply(thought, Segment(box=there), learn=False)
            case "sloppy" | "wrong_thing":
                there = state.point.box(beside(box, rng, state.width, state.height))
                yield state.reply(state.thought("sloppy", box=words(there)), Segment(box=there), learn=False)
            case "negative":
                # A neighbour in the box is what most often goes wrong; without one there is only ground to take in.
                near = [other.box for other in visible if _gap(box, other.box) < 0.6 * max(box.width, box.height)]
                wide = (
                    _both(box, near[int(rng.integers(len(near)))])
                    if near
                    else around(box, float(rng.uniform(0.4, 0.9)), state.width, state.height)
                )
                there = state.point.box(wide)
                thought = state.thought("wide_both" if near else "wide", box=words(there))
                yield state.reply(thought, Segment(box=there), learn=False)
            case _:
                yield from self._well(manner, lead)

    def _well(self, manner: Manner, lead: str) -> Replies:
        """A first prompt without a mistake, but for a call that is spoiled before it is put right."""
        state = self._state
        small = state.overlay_pixels(self._target) < state.config.zoom_below
        closer = (small or manner == "zoom") and self._spare(3)
        more = state.thought("small" if small else "closer") if closer else state.thought("expect", target=self._target)
        thought = f"{lead} {more}".strip()
        reply = state.reply(thought, self._zoom() if closer else self._segment())
        yield from perhaps_spoiled(state, reply, manner == "bad_call" and self._spare(2))
        if closer and not state.error:
            yield state.reply(state.thought("after_zoom", target=self._target), self._segment())

    def _segment(self) -> Segment:
        """The box of the thing, now and then with a point on it."""
        state = self._state
        self._tried.add("new_box")
        on_it = state.point.point(inside(state.scene.masks[self._target]))
        return Segment(
            box=state.point.box(state.target_box(self._target)), positive=(on_it,) if state.chance(0.25) else ()
        )

    def _zoom(self) -> Zoom:
        state = self._state
        margin = float(state.rng.uniform(0.5, 1.1))
        self._tried.add("look_closer")
        return Zoom(state.point.box(around(state.target_box(self._target), margin, state.width, state.height)))

    # --- corrections

    def _judgement(self) -> str:
        """Describe the newest overlay in words that anybody who looks at it would use."""
        state = self._state
        if not state.newest:
            return f"{state.thought('nothing')} {state.error}" if state.error else ""
        found = self._compared(state.newest)
        if self._best != state.newest:
            return state.thought("worse", best=self._best) if self._best else self._something_else()
        if found.iou < _OTHER:
            return self._something_else()
        faults = (("missing", found.missing), ("extra", found.extra))
        sentences = [
            self._fault(key, region) for key, region in faults if region is not None and region.share > _VISIBLE
        ]
        return " ".join(sentences) or state.thought("rough", target=self._target)

    def _fault(self, key: str, region: FaultRegion) -> str:
        """Name a part that is missing or too much, and its place."""
        state = self._state
        where = side(region.spot, state.target_box(self._target))
        return state.thought(key, target=self._target, side=where, spot=spot_words(state.point.point(region.spot)))

    def _something_else(self) -> str:
        """Describe a mask that shows something else."""
        state = self._state
        shown = state.masks[state.newest]
        for other in state.surroundings.others:
            # Two things of one colour would read as one and the same.
            if area(shown & other.mask) > 0.6 * area(shown) and other.words != state.it(self._target):
                return state.thought("other", target=self._target, other=other.words)
        found = self._compared(state.newest)
        if found.iou > _TOUCHES and found.missing is not None:
            return self._fault("missing", found.missing)
        if found.iou > _TOUCHES and found.extra is not None:
            return self._fault("extra", found.extra)
        return state.thought("elsewhere", target=self._target)

    def _fixes(self) -> list[tuple[str, Fix]]:
        """Corrections that are possible now and have not been tried, in a random order."""
        state = self._state
        shows = state.point.shows(state.target_box(self._target))
        fixes: list[tuple[str, Fix]] = [("new_box", self._new_box), ("anew", self._anew)] if shows else []
        found = self._compared(self._best) if self._best else None
        if found is not None and found.iou >= _OTHER:
            if found.missing is not None or found.extra is not None:
                fixes.append(("points", self._points))
            if found.missing is not None and found.missing.share > 0.15 and self._spare(2):
                fixes.append(("part", self._part))
            if self._culprit(found) is not None and self._spare(2):
                fixes.append(("cut", self._cut))
        if self._spare(2) and shows:
            fixes.append(("look_closer", self._look_closer))
        fixes = [fix for fix in fixes if fix[0] not in self._tried]
        if found is None or found.iou < _OTHER:
            return fixes  # what shows something else is drawn anew, not corrected
        return [fixes[number] for number in state.rng.permutation(len(fixes))]

    def _new_box(self, judgement: str) -> Replies:
        segment = self._segment()
        box = words(segment.box) if segment.box is not None else ""
        yield self._state.reply(f"{judgement} {self._state.thought('new_box', box=box)}", Segment(box=segment.box))

    def _anew(self, judgement: str) -> Replies:
        """Draw it anew: box, a point on the thing, and one off it where the best mask spills over."""
        state = self._state
        found = self._compared(self._best) if self._best else None
        box = state.point.box(state.target_box(self._target))
        on_it = state.point.point(inside(state.scene.masks[self._target]))
        thought = state.thought("anew", box=words(box))
        extra = found.extra if found is not None and found.iou >= _OTHER else None
        negative: tuple[Point, ...] = ()
        if extra is not None and extra.share > _VISIBLE and self._inside_view(extra.box):
            negative = (state.point.point(extra.spot),)
            thought += " " + state.thought("point_off", spot=spot_words(negative[0]))
        yield state.reply(f"{judgement} {thought}", Segment(box=box, positive=(on_it,), negative=negative))

    def _points(self, judgement: str) -> Replies:
        """Refine the best mask with a point on what is missing and one on what is too much."""
        state = self._state
        found = self._compared(self._best)
        positive: tuple[Point, ...] = ()
        negative: tuple[Point, ...] = ()
        sentences = []
        regions = [
            (region.share, key, region) for key, region in (("on", found.missing), ("off", found.extra)) if region
        ]
        most = max(share for share, _, _ in regions)
        for share, key, region in regions:
            if share < 0.4 * most or not self._inside_view(region.box):
                continue
            spot = state.point.point(region.spot)
            positive, negative = ((spot,), negative) if key == "on" else (positive, (spot,))
            sentences.append(state.thought(f"point_{key}", spot=spot_words(spot)))
        if not sentences:
            yield from self._anew(judgement)
            return
        segment = Segment(positive=positive, negative=negative, refine=self._best)
        yield state.reply(" ".join([judgement, *sentences]).strip(), segment)

    def _look_closer(self, judgement: str) -> Replies:
        state = self._state
        yield state.reply(f"{judgement} {state.thought('look_closer')}".strip(), self._zoom())
        if not state.error:
            yield state.reply(state.thought("after_zoom", target=self._target), self._segment())

    def _part(self, judgement: str) -> Replies:
        """Draw what is missing, and join it to the best mask."""
        state, best = self._state, self._best
        missing = self._compared(best).missing
        if missing is None:
            return
        box = state.point.box(missing.box)
        yield state.reply(f"{judgement} {state.thought('part', box=words(box))}".strip(), Segment(box=box))
        if state.newest:
            yield state.reply(state.thought("join", best=best), Combine((best, state.newest)))

    def _cut(self, judgement: str) -> Replies:
        """Draw the other thing that the best mask takes in, and cut it away."""
        state, best = self._state, self._best
        culprit = self._culprit(self._compared(best))
        if culprit is None:
            return
        box = state.point.box(culprit.box)
        yield state.reply(f"{judgement} {state.thought('cut', other=culprit.words)}".strip(), Segment(box=box))
        if state.newest:
            thought = state.thought("cut_away", other=culprit.words, best=best)
            yield state.reply(thought, Combine((best,), (state.newest,)))

    def _culprit(self, found: MaskDifference) -> Other | None:
        """The other thing that most of what is too much lies on."""
        if found.extra is None or found.extra.share < 0.1:
            return None
        spot = found.extra.spot
        for other in self._state.surroundings.others:
            if other.mask[int(spot.y), int(spot.x)] and self._state.point.shows(other.box):
                return other
        return None

    def _inside_view(self, box: Box) -> bool:
        view = self._state.view
        return box.intersection(Box(view.x0, view.y0, view.x1, view.y1)).area >= 0.9 * box.area


def _both(one: Box, other: Box) -> Box:
    return Box(min(one.x0, other.x0), min(one.y0, other.y0), max(one.x1, other.x1), max(one.y1, other.y1))


def _gap(one: Box, other: Box) -> float:
    """Pixels between two boxes, along the axis on which they are farther apart."""
    across = max(one.x0, other.x0) - min(one.x1, other.x1)
    down = max(one.y0, other.y0) - min(one.y1, other.y1)
    return max(0.0, across, down)
