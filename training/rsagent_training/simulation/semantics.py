"""Meaning of descriptions in three values: true of a thing, false, or something people could disagree about.

Every statement about a thing is True, False, or None: doubtful. Doubtful is what lies within a margin (almost left
of), what a word may or may not mean (a drinks can as "the cylinder"), and whatever would be true of something barely
visible. A goal is asked only where no doubt touches its answer, so that a right answer is never marked wrong.

The margins are below: gaps are shares of the picture's width or height, DEPTH_GAP is in metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rsagent_training.simulation.catalogue import THINGS, Noun
from rsagent_training.simulation.visibility import VisibleItem

ThreeValued = bool | None
Referents = dict[str, ThreeValued]
"""For each thing by name, whether it is meant."""

SIDE_GAP = 0.045
ORDER_GAP = 0.04
DEPTH_GAP = 0.05
SIZE_RATIO = 1.6
SUPERLATIVE_RATIO = 1.35
NEAREST_RATIO = 1.4


@dataclass(frozen=True)
class NounPhrase:
    """A description of things of one noun: "small red boxes", "mugs that are not red"."""

    noun: Noun
    colour: str | None = None
    size: str | None = None
    not_colour: str | None = None

    @property
    def words(self) -> str:
        """The noun phrase in the singular, without an article."""
        return self._words(self.noun.word, "is")

    @property
    def plural(self) -> str:
        """The noun phrase in the plural, without an article."""
        return self._words(self.noun.plural, "are")

    def _words(self, noun: str, verb: str) -> str:
        head = " ".join(word for word in (self.size, self.colour, noun) if word is not None)
        return head if self.not_colour is None else f"{head} that {verb} not {self.not_colour}"

    def among(self, things: Sequence[VisibleItem]) -> Referents:
        """Decide for each thing whether it is described. "Small" and "large" need something to compare with."""
        answer = {thing.name: self._plainly(thing) for thing in things}
        if self.size is None:
            return answer
        base = [thing for thing in things if answer[thing.name] is not False]
        return answer | {thing.name: both(answer[thing.name], _sized(thing, self.size, base)) for thing in base}

    def _plainly(self, thing: VisibleItem) -> ThreeValued:
        """Noun and colour, whatever the size."""
        kind, colour = thing.item.kind, thing.item.colour
        named: ThreeValued = True if kind in self.noun.sure else None if kind in self.noun.possible else False
        if not thing.legible and self.noun not in THINGS.values():
            named = None
        coloured = self.colour in (None, colour) and self.not_colour != colour
        return certain(thing, both(named, coloured))


def certain(thing: VisibleItem, truth: ThreeValued) -> ThreeValued:
    """Make doubtful what is true of a barely visible thing; what is false of it stays false."""
    return truth if thing.clear or truth is False else None


def both(first: ThreeValued, second: ThreeValued) -> ThreeValued:
    """Logical and, where doubt stays doubt unless the other side is false."""
    if first is False or second is False:
        return False
    return None if first is None or second is None else True


def _sized(thing: VisibleItem, size: str, base: Sequence[VisibleItem]) -> ThreeValued:
    """Whether `thing` is the small (large) one of those in `base`: by the catalogue and by what is visible."""
    called = [other for other in base if other.item.size == size]
    others = [other for other in base if other.item.size != size]
    if not called or not others:
        return None
    for one in called:
        for other in others:
            little, big = (one, other) if size == "small" else (other, one)
            if min(big.whole / little.whole, big.pixels / little.pixels) < SIZE_RATIO:
                return None
            if big.item.length / little.item.length < 1.25:
                return None
    return thing.item.size == size


def beside(thing: VisibleItem, landmark: VisibleItem, side: str) -> ThreeValued:
    """Whether `thing` is "left of" or "right of" the landmark, as the picture shows it."""
    step = thing.centre[0] - landmark.centre[0]
    overlap = min(thing.span[1], landmark.span[1]) - max(thing.span[0], landmark.span[0])
    if side == "left of":
        step = -step
    if step <= -SIDE_GAP:
        return False
    slim = min(thing.span[1] - thing.span[0], landmark.span[1] - landmark.span[0])
    steep = abs(thing.centre[1] - landmark.centre[1]) > 2.0 * step
    stacked = thing.item.on == landmark.name or landmark.item.on == thing.name
    return None if step < SIDE_GAP or overlap > 0.25 * slim or steep or stacked else True


def before(thing: VisibleItem, landmark: VisibleItem, side: str) -> ThreeValued:
    """Whether `thing` is "in front of" or "behind" the landmark: nearer or farther, and roughly in line with it."""
    near, far = (thing, landmark) if side == "in front of" else (landmark, thing)
    if _nearer(far, near):
        return False
    widths = (thing.span[1] - thing.span[0]) + (landmark.span[1] - landmark.span[0])
    in_line = abs(thing.centre[0] - landmark.centre[0]) <= 0.5 * widths
    return True if _nearer(near, far) and in_line else None


def on(thing: VisibleItem, landmark: VisibleItem, _: str) -> ThreeValued:
    """Whether `thing` stands "on" the landmark."""
    return thing.item.on == landmark.name


RELATIONS = {"left of": beside, "right of": beside, "in front of": before, "behind": before, "on": on}


def related(answer: Referents, relation: str, landmark: VisibleItem, things: Sequence[VisibleItem]) -> Referents:
    """Narrow an answer down to what also stands in a relation to the landmark (which is none of it itself)."""
    holds = RELATIONS[relation]
    return {
        thing.name: False
        if thing.name == landmark.name
        else certain(thing, both(answer[thing.name], holds(thing, landmark, relation)))
        for thing in things
    }


def only(answer: Referents) -> str | None:
    """The one thing that is meant, when that is beyond doubt."""
    names = every(answer)
    return names[0] if names is not None and len(names) == 1 else None


def every(answer: Referents) -> list[str] | None:
    """Names of all that is meant (it may be nothing), when that is beyond doubt."""
    return None if None in answer.values() else [name for name, truth in answer.items() if truth]


def foremost(answer: Referents, ahead: Mapping[str, Mapping[str, bool]]) -> str | None:
    """The one that is ahead of all others that are or may be meant; None when there is none beyond doubt.

    Args:
        answer: What it is chosen among; two at least.
        ahead: ahead[a][b]: a is clearly ahead of b.
    """
    field = [name for name, truth in answer.items() if truth is not False]
    best = [a for a in field if answer[a] and all(ahead[a][b] for b in field if b != a)]
    return best[0] if best and len(field) > 1 else None


def order(things: Sequence[VisibleItem], superlative: str) -> dict[str, dict[str, bool]]:
    """Order of things: for each pair, whether the first is clearly ahead.

    Args:
        things: All of them.
        superlative: "leftmost", "rightmost", "nearest", "farthest" (from the camera), "largest" or "smallest".
    """
    compare = {
        "leftmost": lambda a, b: a.centre[0] + ORDER_GAP <= b.centre[0],
        "rightmost": lambda a, b: a.centre[0] >= b.centre[0] + ORDER_GAP,
        "nearest": _nearer,
        "farthest": lambda a, b: _nearer(b, a),
        "largest": _larger,
        "smallest": lambda a, b: _larger(b, a),
    }[superlative]
    return {a.name: {b.name: compare(a, b) for b in things if b is not a} for a in things}


def _nearer(a: VisibleItem, b: VisibleItem) -> bool:
    """Clearly nearer to the camera, in space and to the eye. What stands on something else only looks farther away."""
    return (
        a.distance + DEPTH_GAP <= b.distance
        and a.depth + DEPTH_GAP <= b.depth
        and a.low >= b.low + ORDER_GAP
        and a.centre[1] >= b.centre[1] + ORDER_GAP
        and a.item.on is None
        and b.item.on is None
    )


def _larger(a: VisibleItem, b: VisibleItem) -> bool:
    """Clearly larger: in the picture (hidden parts counted or not), in length and in the area of its largest side."""

    def side(thing: VisibleItem) -> float:
        extents = np.sort(np.ptp(thing.item.shape.vertices, axis=0))
        return float(extents[1] * extents[2])

    return (
        a.pixels >= SUPERLATIVE_RATIO * b.pixels
        and a.whole >= SUPERLATIVE_RATIO * b.whole
        and a.item.length >= 1.1 * b.item.length
        and side(a) >= 1.2 * side(b)
    )


def closest(answer: Referents, landmark: VisibleItem, things: Sequence[VisibleItem]) -> str | None:
    """The one closest to the landmark, on the table and in the picture; None when that is not beyond doubt."""

    def gaps(thing: VisibleItem) -> tuple[float, float]:
        table = np.hypot(thing.spot[0] - landmark.spot[0], thing.spot[1] - landmark.spot[1])
        picture = np.hypot(thing.centre[0] - landmark.centre[0], 0.75 * (thing.centre[1] - landmark.centre[1]))
        return float(table), float(picture)

    others = [thing for thing in things if thing.name != landmark.name]
    gap = {thing.name: gaps(thing) for thing in others}
    ahead = {
        a.name: {
            b.name: all(NEAREST_RATIO * x <= y for x, y in zip(gap[a.name], gap[b.name], strict=True))
            for b in others
            if b is not a
        }
        for a in others
    }
    return foremost({thing.name: answer[thing.name] for thing in others}, ahead)
