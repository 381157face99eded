"""The conduct of an episode: look, decide what is meant, draw masks, look at each, correct, end.

A search is a generator: it yields its next move and is sent the observation that follows, so the whole conduct reads
from top to bottom.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from rsagent_ros.agent.actions import Find, Finish, GiveUp, ReportAbsent, ReportAmbiguous, Zoom
from rsagent_ros.agent.chat import Picture
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import bounding_box, iou
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.baseline.policy import prompts, spatial, wording
from rsagent_ros.baseline.policy.chat import UNKNOWN, Observation
from rsagent_ros.baseline.policy.drawing import DrawnMask, Move, draw
from rsagent_ros.baseline.policy.grounding import ground
from rsagent_ros.baseline.policy.language import Phrase, understood
from rsagent_ros.baseline.policy.objects import SceneObject, detect
from rsagent_ros.baseline.policy.observed_view import ObservedView

ZOOM_BELOW = 32.0
"""An object whose longer side is shorter than this in the overlay (384 pixels) is zoomed in on, ..."""

CROWDED_BELOW = 64.0
"""... one shorter than this if another object is close to it."""

MARKED = 0.8
"""IoU of an object's box with that of a mask that words gave, from which on the mask shows the object."""

MOST_CANDIDATES = 4
"""Objects that are marked at most where it gives up."""

_CLOSE = 0.15
"""Gap that is close, relative to the longer side of the object."""

_ZOOM_FACTOR = 3.0
_TURNS_FOR_A_ZOOM = 4

Moves = Generator[Move, Observation, None]


def search(first: Observation, pictures: PictureFormat = DEFAULT_PICTURES) -> Moves:
    """The moves of an episode, from its first observation on; the last one ends it.

    Args:
        first: The observation of the whole image.
        pictures: Format of the chat.
    """
    if first.view is None or first.picture is None:
        yield Move("I was shown no picture.", ReportAbsent("I was shown no picture."))
        return
    seen = _observed(first.picture, first.view, pictures)
    phrases = understood(first.instruction)
    among = _asked_about(first.previous, seen)
    lead = " ".join([f"I see {wording.inventory(seen.objects)}.", *_left_out(phrases)])
    # Whoever was told which words are not known, and what fits the rest, may choose among that.
    said = [one for one in (*first.previous, first.instruction) if one not in first.confessed]
    unclear = [phrase for one in said for phrase in understood(one) if not phrase.clear]
    if unclear:
        words = wording.unknown_words([word for phrase in unclear for word in phrase.unclear_words])
        fitting = {id(one): one for phrase in phrases for one in ground(phrase, seen.objects, among).targets}
        yield from _give_up(seen, words, list(fitting.values()), lead, first.turns_left)
        return
    grounded = [(phrase, ground(phrase, seen.objects, among)) for phrase in phrases]
    for _, found in grounded:
        if not found.targets:
            yield Move(lead, ReportAbsent(f"I see {wording.inventory(seen.objects)}, but not {found.missing}."))
            return
    for phrase, found in grounded:
        if found.ambiguous:
            yield from _ask(seen, phrase, found.targets, lead, first.turns_left)
            return
    meant = [target for _, found in grounded for target in found.targets]
    yield from _show(seen, phrases[0] if len(phrases) == 1 else None, meant, lead, first.turns_left)


def _asked_about(previous: Sequence[str], seen: ObservedView) -> tuple[SceneObject, ...] | None:
    """The objects that fit all earlier instructions, one of which is meant now; None where there were none."""
    among: tuple[SceneObject, ...] | None = None
    for instruction in previous:
        grounded = [ground(phrase, seen.objects, among) for phrase in understood(instruction)]
        among = tuple(target for found in grounded for target in found.targets)
    return among


def _give_up(seen: ObservedView, words: str, fitting: Sequence[SceneObject], lead: str, turns: int) -> Moves:
    """Mark what fits the words that are known, and end without a choice: a noun that is not known could be anything."""
    objects = spatial.in_order(fitting[: max(0, min(MOST_CANDIDATES, turns - 1))], "left")
    reason = f"{UNKNOWN}{words}. I know colours, sizes, places and simple shapes"
    if not objects:
        yield Move(lead, _given_up(f"{reason}, and see {wording.inventory(seen.objects)}.", (), seen.pictures))
        return
    drawn = yield from _draw_all(seen, objects, f"{lead} I do not know {words}, so I mark what fits the rest.")
    fits = wording.listed([wording.indefinite(wording.looks(one)) for one in objects])
    ids = tuple(one.mask for one in drawn)
    yield Move("Which it is I can't tell.", _given_up(f"{reason}: what fits the rest is {fits}.", ids, seen.pictures))


def _given_up(reason: str, masks: tuple[int, ...], pictures: PictureFormat) -> GiveUp | ReportAbsent:
    """The end of a search that can't tell, or its nearest word in a chat of release 0.1.0."""
    return GiveUp(reason, "not_understood", masks) if "give_up" in pictures.tools else ReportAbsent(reason)


def _ask(seen: ObservedView, phrase: Phrase, fitting: Sequence[SceneObject], lead: str, turns: int) -> Moves:
    """Mark each object that could be meant, and ask which one is."""
    objects = spatial.in_order(fitting[: max(2, turns - 1)], "left")
    lead += f" The words fit {len(fitting)} of them, so I mark each and ask."
    drawn = yield from _mark_all(seen, phrase, objects, lead)
    # One mask is no question: the turns that are left are spent on trying for another.
    while len(drawn) < 2:
        drawn += yield from _draw_all(seen, objects[len(drawn) :], "I need a mask of each before I can ask.")
    yield Move(
        f"{len(drawn)} are marked, and nothing in the words prefers one.",
        ReportAmbiguous(tuple(one.mask for one in drawn), wording.question(phrase, objects)),
    )


def _show(seen: ObservedView, phrase: Phrase | None, meant: Sequence[SceneObject], lead: str, turns: int) -> Moves:
    """Draw a mask of each object that is meant, and end with them; `phrase` where one names them all."""
    objects = list(meant[: max(1, turns - 1)])
    if len(objects) > 1:
        some = "them" if len(objects) == len(meant) else len(objects)
        lead += f" {len(meant)} things are meant; I mark {some}."
    else:
        lead += f" What is meant is the {wording.looks(objects[0])} at {prompts.position(seen, objects[0])}."
        if turns >= _TURNS_FOR_A_ZOOM and _worth_a_zoom(seen, objects[0]):
            zoom = Zoom(prompts.zoom_box(seen, objects[0], _ZOOM_FACTOR))
            name = wording.looks(objects[0])  # closer up its shape may look otherwise; the first impression counts
            observation = yield Move(f"{lead} It is small or crowded, so I look closer.", zoom)
            seen, objects[0] = _closer(seen, objects[0], observation)
            lead = f"Closer, it is the {name} at {prompts.position(seen, objects[0])}."
    drawn = yield from _mark_all(seen, phrase, objects, lead)
    while not drawn:
        drawn = yield from _draw_all(seen, objects, "I have no mask of it yet, so I try again.")
    agreement = 100 * float(np.mean([one.agreement for one in drawn]))
    answer = Finish(tuple(one.mask for one in drawn))
    things = "thing" if len(drawn) == 1 else "things"
    yield Move(f"What was drawn and what I see of the {things} agree by {agreement:.0f} %.", answer)
    yield Move("I have seen it with all around it, and stay with it.", answer)


def _mark_all(
    seen: ObservedView, phrase: Phrase | None, objects: Sequence[SceneObject], lead: str
) -> Generator[Move, Observation, list[DrawnMask]]:
    """A mask of each object: several of one phrase through words at once, and by drawing what these do not give."""
    if phrase is None or len(objects) < 2 or "find" not in seen.pictures.tools:
        return (yield from _draw_all(seen, objects, lead))
    words = wording.short(phrase)
    observation = yield Move(f'{lead} I have all that is called "{words}" marked.', Find(words))
    marked, left = [], []
    for target in objects:
        close = [(seen.box(target.box).iou(seen.thousandths(box)), mask) for mask, box in observation.found]
        agreement, mask = max(close, default=(0.0, 0))
        if agreement < MARKED:
            left.append(target)
        else:
            marked.append(DrawnMask(mask, agreement))
    if not left or observation.turns_left <= 1 or observation.hurried:
        return marked
    others = yield from _draw_all(seen, left[: observation.turns_left - 1], "I draw what is left myself.")
    return marked + others


def _draw_all(
    seen: ObservedView, objects: Sequence[SceneObject], lead: str
) -> Generator[Move, Observation, list[DrawnMask]]:
    """Draw a mask of each object, where one can be had. Turns for later objects and for the end are left alone."""
    drawn = []
    for number, target in enumerate(objects):
        lead = lead or f"Next, the {wording.looks(target)} at {prompts.position(seen, target)}."
        one = yield from draw(seen, target, lead, keep=len(objects) - number, careful=len(objects) > 1)
        drawn += [] if one is None else [one]
        lead = ""
    return drawn


def _observed(picture: Picture, view: Box, pictures: PictureFormat) -> ObservedView:
    return ObservedView(picture.pixels, view, tuple(detect(picture.pixels)), pictures)


def _worth_a_zoom(seen: ObservedView, target: SceneObject) -> bool:
    side = seen.overlay_pixels(target)
    near = _CLOSE * max(target.box.width, target.box.height)
    crowded = any(spatial.gap(target, other) < near for other in seen.objects if other is not target)
    return side < ZOOM_BELOW or (crowded and side < CROWDED_BELOW)


def _closer(seen: ObservedView, target: SceneObject, observation: Observation) -> tuple[ObservedView, SceneObject]:
    """The view after a zoom, and the target in it; both as before where the zoom failed."""
    if observation.picture is None or observation.view is None:
        return seen, target
    closer = _observed(observation.picture, observation.view, seen.pictures)
    expected = closer.taken_over(target.mask, seen)
    box = bounding_box(expected)
    if box is None:
        return closer, target
    best, other = max(
        ((iou(one.mask, expected), one) for one in closer.objects), key=lambda pair: pair[0], default=(0.0, target)
    )
    if best > 0.5:
        return closer, other
    # Closer up it was seen as something else; the first impression counts.
    kept = SceneObject(expected, box, target.colours, target.flat, np.zeros_like(expected))
    others = tuple(one for one in closer.objects if not (one.mask & expected).any())
    return replace(closer, objects=(kept, *others)), kept


def _left_out(phrases: Sequence[Phrase]) -> list[str]:
    left = [phrase.unknown for phrase in phrases if phrase.unknown and phrase.clear]
    return [f"I do not know {wording.unknown_words(words)} and leave it out." for words in left]
