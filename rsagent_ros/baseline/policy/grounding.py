"""From a phrase and the things in a picture to what is meant: one thing, several, none, or a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsagent_ros.baseline.policy import places, wording
from rsagent_ros.baseline.policy.language import Phrase, Relation
from rsagent_ros.baseline.policy.perception import Thing

_LEAST = 0.35
"""Fit from which on a thing can be what a phrase says."""

_RIVAL = 0.6
"""Share of the best fit that a thing needs to be a rival of the best."""

_SHAPES: dict[str, dict[str, float]] = {
    "ball": {"ball": 0.0},
    "box": {"box": 0.0, "square": 0.0, "rectangle": 0.0},
    "cylinder": {"cylinder": 0.0},
    "cone": {"cone": 0.0},
    "circle": {"disc": 0.0, "ball": 0.0},
    "square": {"square": 0.0, "rectangle": 0.006, "box": 0.004},
    "rectangle": {"rectangle": 0.0, "square": 0.006, "box": 0.004},
    "triangle": {"triangle": 0.0},
}
"""Outlines that a noun covers, each with a handicap."""

_FLAT_NOUNS = ("circle", "square", "rectangle", "triangle")
_FLAT_FAMILIES = (("ball", "disc"), ("box", "square", "rectangle"), ("triangle",))
_DRAWN_AS = {"box": ("square", "rectangle"), "cylinder": ("square", "rectangle"), "cone": ("triangle",)}
_FAMILIES = (("ball",), ("disc",), ("cylinder",), ("cone",), ("box", "square", "rectangle"), ("triangle",))


@dataclass(frozen=True, eq=False)
class Grounding:
    """What a phrase means in a picture.

    Attributes:
        targets: What is meant; with `ambiguous`, the things that it could mean; empty when there is nothing.
        ambiguous: One is meant, and several fit.
        candidates: How many things fit noun and colour, before sizes and places were looked at.
        missing: The part of the phrase that fits nothing, as words; empty when there are targets.
    """

    targets: tuple[Thing, ...]
    ambiguous: bool
    candidates: int
    missing: str = ""


def ground(
    phrase: Phrase, things: Sequence[Thing], width: int, height: int, among: Sequence[Thing] | None = None
) -> Grounding:
    """What the phrase means among the things of a picture of this size; `among` says which ones can be meant at all."""
    candidates = _fitting(phrase, things if among is None else among)
    if not phrase.decided:
        return Grounding((), False, len(candidates), f"anything that I know as {wording.unknown_words(phrase)}")
    if not candidates:
        return Grounding((), False, 0, wording.indefinite(_plainly(phrase)))
    meant = [
        thing
        for thing in candidates
        if not any(_excludes(one, thing, things, width, height) for one in phrase.excluded)
    ]
    if phrase.size:
        meant = places.sized(meant, phrase.size)
    for relation in phrase.relations:
        meant, missing = _related(relation, meant, things, width, height)
        if missing:
            return Grounding((), False, len(candidates), missing)
    if phrase.side and among is not None and not phrase.every:
        # "The left one" of some that were asked about is the leftmost of them, wherever they are.
        meant = places.row(meant, phrase.side)[: max(1, phrase.number)]
    elif phrase.side:
        meant = places.on_side(meant, phrase.side, width, height)
    wanted = phrase.number
    if phrase.pick and meant:
        line = places.row(meant, phrase.pick.direction)
        wanted = phrase.pick.count
        start = phrase.pick.rank - 1 if phrase.pick.rank > 0 else max(0, len(line) - wanted)
        meant = line[start : start + wanted]
    if not meant:
        return Grounding((), False, len(candidates), wording.indefinite(str(phrase)))
    if len(meant) < wanted:
        return Grounding((), False, len(candidates), wording.count(wanted, str(phrase)))
    too_many = len(meant) > wanted if wanted else len(meant) > 1 and not phrase.every
    return Grounding(tuple(meant), too_many, len(candidates))


def fit(phrase: Phrase, thing: Thing) -> float:
    """How well noun and colour of a phrase fit a thing, 0..1."""
    colour = max((thing.colours[name] for name in phrase.colours), default=1.0)
    return colour * (1.0 if phrase.noun == "thing" else _noun_fit(phrase.noun, thing))


def _plainly(phrase: Phrase) -> str:
    return str(Phrase(phrase.noun, phrase.colours, unknown_noun=phrase.unknown_noun))


def _fitting(phrase: Phrase, things: Sequence[Thing]) -> list[Thing]:
    fits = [fit(phrase, thing) for thing in things]
    least = max(_LEAST, _RIVAL * max(fits, default=0.0))
    return [thing for thing, one in zip(things, fits, strict=True) if one >= least]


def _noun_fit(noun: str, thing: Thing) -> float:
    """How likely the outline is one of the noun's, against those of the other families of shapes."""
    own = min(thing.shapes[shape] + handicap for shape, handicap in _SHAPES[noun].items())
    # What has no shading is a drawing as far as a word for drawings is concerned.
    families = _FLAT_FAMILIES if thing.flat and noun in _FLAT_NOUNS else _FAMILIES
    rivals = [
        min(thing.shapes[shape] for shape in family)
        for family in families
        if not any(shape in _SHAPES[noun] for shape in family)
    ]
    # Pixels blur the outlines of small things: near misses say less there.
    scale = 0.002 + 0.03 / np.sqrt(thing.area)
    weights = np.exp(-(np.array([own, *rivals]) - own) / scale)
    gate = float(np.clip((0.10 - own) / 0.04, 0.0, 1.0)) * float(np.clip((thing.solidity - 0.7) / 0.15, 0.0, 1.0))
    return float(weights[0] / weights.sum()) * gate * _flatness(noun, thing)


def _flatness(noun: str, thing: Thing) -> float:
    """How well shading, or the lack of it, goes with a noun: a white sheet is no box, a shaded ball is no circle."""
    if noun in _FLAT_NOUNS:
        return 1.0 if thing.flat else 0.5
    drawn = min((thing.shapes[shape] for shape in _DRAWN_AS.get(noun, ())), default=np.inf)
    return 0.5 if thing.flat and drawn < thing.shapes[noun] + 0.003 else 1.0


def _excludes(phrase: Phrase, thing: Thing, things: Sequence[Thing], width: int, height: int) -> bool:
    if phrase.relations or phrase.side or phrase.pick or phrase.size:
        return any(thing is target for target in ground(phrase, things, width, height).targets)
    return fit(phrase, thing) >= _LEAST


def _related(
    relation: Relation, meant: Sequence[Thing], things: Sequence[Thing], width: int, height: int
) -> tuple[list[Thing], str]:
    """Those that stand in the relation, and the landmark's words where there is no such landmark."""
    sets = []
    for phrase in relation.landmarks:
        found = ground(phrase, things, width, height)
        if not found.targets:
            return [], found.missing
        sets.append(found.targets)
    if relation.kind == "between":
        first, second = sets[0], sets[-1]
        return [
            thing
            for thing in meant
            if any(places.between(thing, a, b) for a in first for b in second if len({id(a), id(b), id(thing)}) == 3)
        ], ""
    landmarks = sets[0]
    if relation.kind in ("closest", "farthest"):
        others = [thing for thing in meant if not any(thing is landmark for landmark in landmarks)]
        sign = 1 if relation.kind == "closest" else -1
        others.sort(key=lambda thing: sign * min(places.distance(thing, landmark) for landmark in landmarks))
        return others[:1], ""
    return [
        thing
        for thing in meant
        if any(
            landmark is not thing and places.related(relation.kind, thing, landmark, width, height)
            for landmark in landmarks
        )
    ], ""
