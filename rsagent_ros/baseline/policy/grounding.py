"""From a phrase and the objects in a picture to what is meant: one object, several, none, or a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsagent_ros.baseline.policy import spatial, wording
from rsagent_ros.baseline.policy.language import Phrase, Relation
from rsagent_ros.baseline.policy.objects import SceneObject

_LEAST = 0.35
"""Fit from which on an object can be what a phrase says."""

_RIVAL = 0.6
"""Share of the best fit that an object needs to be a rival of the best."""

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
    """The meaning of a phrase in a picture.

    Attributes:
        targets: The objects that are meant; with `ambiguous`, those that could be; empty when there is nothing.
        ambiguous: One is meant, and several fit.
        missing: The part of the phrase that fits nothing, as words; empty when there are targets.
    """

    targets: tuple[SceneObject, ...]
    ambiguous: bool = False
    missing: str = ""


def ground(phrase: Phrase, objects: Sequence[SceneObject], among: Sequence[SceneObject] | None = None) -> Grounding:
    """The meaning of a phrase among the objects of a picture; `among` says which ones can be meant at all."""
    meant = _fitting(phrase, objects if among is None else among)
    if not phrase.decided:
        return Grounding((), missing=f"anything that I know as {wording.unknown_words(phrase.unknown)}")
    if not meant:
        return Grounding((), missing=wording.indefinite(wording.short(phrase)))
    meant = [item for item in meant if not any(_excludes(one, item, objects) for one in phrase.excluded)]
    if phrase.size:
        meant = spatial.of_size(meant, phrase.size)
    for relation in phrase.relations:
        meant, missing = _related(relation, meant, objects)
        if missing:
            return Grounding((), missing=missing)
    if phrase.side and among is not None and not phrase.every:
        # "The left one" of some that were asked about is the leftmost of them, wherever they are.
        meant = spatial.in_order(meant, phrase.side)[: max(1, phrase.number)]
    elif phrase.side:
        meant = spatial.on_side(meant, phrase.side)
    wanted = phrase.number
    if phrase.pick and meant:
        row = spatial.in_order(meant, phrase.pick.direction)
        wanted = phrase.pick.count
        start = phrase.pick.rank - 1 if phrase.pick.rank > 0 else max(0, len(row) - wanted)
        meant = row[start : start + wanted]
    if not meant:
        return Grounding((), missing=wording.indefinite(str(phrase)))
    if len(meant) < wanted:
        return Grounding((), missing=wording.count(wanted, str(phrase)))
    too_many = len(meant) > wanted if wanted else len(meant) > 1 and not phrase.every
    return Grounding(tuple(meant), too_many)


def fit(phrase: Phrase, item: SceneObject) -> float:
    """The fit of a phrase's noun and colour to an object, 0..1."""
    colour = max((item.colours[name] for name in phrase.colours), default=1.0)
    return colour * (1.0 if phrase.noun == "thing" else _noun_fit(phrase.noun, item))


def _fitting(phrase: Phrase, objects: Sequence[SceneObject]) -> list[SceneObject]:
    fits = [fit(phrase, item) for item in objects]
    least = max(_LEAST, _RIVAL * max(fits, default=0.0))
    return [item for item, one in zip(objects, fits, strict=True) if one >= least]


def _noun_fit(noun: str, item: SceneObject) -> float:
    """Likelihood that the outline is one of the noun's, against those of the other families of shapes."""
    own = min(item.shapes[shape] + handicap for shape, handicap in _SHAPES[noun].items())
    # An object without shading is a drawing as far as a word for drawings is concerned.
    families = _FLAT_FAMILIES if item.flat and noun in _FLAT_NOUNS else _FAMILIES
    rivals = [
        min(item.shapes[shape] for shape in family)
        for family in families
        if not any(shape in _SHAPES[noun] for shape in family)
    ]
    # Pixels blur the outlines of small objects: near misses say less there.
    scale = 0.002 + 0.03 / np.sqrt(item.area)
    weights = np.exp(-(np.array([own, *rivals]) - own) / scale)
    gate = float(np.clip((0.10 - own) / 0.04, 0.0, 1.0)) * float(np.clip((item.solidity - 0.7) / 0.15, 0.0, 1.0))
    return float(weights[0] / weights.sum()) * gate * _flatness(noun, item)


def _flatness(noun: str, item: SceneObject) -> float:
    """The fit of shading, or the lack of it, to a noun: a white sheet is no box, a shaded ball is no circle."""
    if noun in _FLAT_NOUNS:
        return 1.0 if item.flat else 0.5
    drawn = min((item.shapes[shape] for shape in _DRAWN_AS.get(noun, ())), default=np.inf)
    return 0.5 if item.flat and drawn < item.shapes[noun] + 0.003 else 1.0


def _excludes(phrase: Phrase, item: SceneObject, objects: Sequence[SceneObject]) -> bool:
    if phrase.relations or phrase.side or phrase.pick or phrase.size:
        return any(item is target for target in ground(phrase, objects).targets)
    return fit(phrase, item) >= _LEAST


def _related(
    relation: Relation, meant: Sequence[SceneObject], objects: Sequence[SceneObject]
) -> tuple[list[SceneObject], str]:
    """The objects that stand in the relation, and the landmark's words where there is no such landmark."""
    sets = []
    for phrase in relation.landmarks:
        found = ground(phrase, objects)
        if not found.targets:
            return [], found.missing
        sets.append(found.targets)
    landmarks = sets[0]
    if relation.kind == "between":
        pairs = [(a, b) for a in landmarks for b in sets[-1] if a is not b]
        return [item for item in meant if any(item not in (a, b) and spatial.between(item, a, b) for a, b in pairs)], ""
    others = [(item, [one for one in landmarks if one is not item]) for item in meant]
    if relation.kind in ("closest", "farthest"):
        sign = 1 if relation.kind == "closest" else -1
        row = [item for item, rest in others if len(rest) == len(landmarks)]
        return sorted(row, key=lambda item: sign * min(spatial.distance(item, one) for one in landmarks))[:1], ""
    return [item for item, rest in others if any(spatial.related(relation.kind, item, one) for one in rest)], ""
