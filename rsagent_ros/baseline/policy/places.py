"""Where things are, in words: which is left of which, which comes second from the left, which are in the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from rsagent_ros.baseline.policy.perception import Thing

_STEP = 0.02
"""Share of the picture's width or height by which places must differ to count as different."""

_STEP_IN_SIZE = 1.2
"""Ratio of areas from which on one thing is the larger one."""

KEYS: dict[str, Callable[[Thing], float]] = {
    "left": lambda thing: thing.centre.x,
    "right": lambda thing: -thing.centre.x,
    "top": lambda thing: thing.centre.y,
    "bottom": lambda thing: -thing.centre.y,
    # On a table, what stands nearer is lower in the picture.
    "near": lambda thing: -(thing.centre.y + thing.box.y1),
    "far": lambda thing: thing.centre.y + thing.box.y1,
    "large": lambda thing: -thing.area,
    "small": lambda thing: thing.area,
}
"""What a row of things is sorted by, the first one first, for each direction but "middle"."""


def row(things: Sequence[Thing], direction: str) -> list[Thing]:
    """The things in the order in which they are counted from a direction; from the middle outwards for "middle"."""
    if direction == "middle":
        ordered = sorted(things, key=KEYS["left"])
        middle = (len(ordered) - 1) / 2
        return [thing for _, thing in sorted(enumerate(ordered), key=lambda pair: abs(pair[0] - middle))]
    return sorted(things, key=KEYS[direction])


def sized(things: Sequence[Thing], size: str) -> list[Thing]:
    """The small or the large ones of some things: those before the widest step in size; all where there is none."""
    ordered = row(things, size)
    ratios = [max(a.area / b.area, b.area / a.area) for a, b in pairwise(ordered)]
    if not ratios or max(ratios) < _STEP_IN_SIZE:
        return ordered
    return ordered[: int(np.argmax(ratios)) + 1]


def on_side(things: Sequence[Thing], side: str, width: int, height: int) -> list[Thing]:
    """Those of some things that lie in a part of a picture of this size; near is the bottom, far the top."""

    def share(thing: Thing) -> float:
        x, y = thing.centre.x / width, thing.centre.y / height
        return {
            "left": x, "right": 1 - x, "top": y, "far": y, "bottom": 1 - y, "near": 1 - y,
            "middle": max(abs(x - 0.5), abs(y - 0.5)) * 2,
        }[side]  # fmt: skip

    inside = [thing for thing in things if share(thing) < 0.55]
    if len(inside) < 2:
        return inside
    first, second = sorted(inside, key=share)[:2]
    # "The one on the left" is the leftmost when it is clearly farther left than the others.
    return [first] if share(second) - share(first) > 0.15 else inside


def related(kind: str, thing: Thing, landmark: Thing, width: int, height: int) -> bool:
    """Whether `thing` is in a relation of `vocabulary.RELATIONS` to one landmark; any unknown one is "next"."""
    right, down = (thing.centre.x - landmark.centre.x) / width, (thing.centre.y - landmark.centre.y) / height
    widths = thing.box.width + landmark.box.width
    in_line = abs(thing.centre.x - landmark.centre.x) < 0.6 * widths
    lower = (thing.box.y1 - landmark.box.y1) / height
    match kind:
        case "left":
            return right < -_STEP
        case "right":
            return right > _STEP
        case "above":
            return down < -_STEP and in_line
        case "below":
            return down > _STEP and in_line
        case "front":
            return down > _STEP and lower > _STEP / 2 and in_line
        case "behind":
            return down < -_STEP and lower < -_STEP / 2 and in_line
        case "on":
            return gap(thing, landmark) == 0 and landmark.box.y0 < thing.box.y1 < landmark.box.y1 and in_line
        case "with":
            return related("on", landmark, thing, width, height)
        case "larger":
            return thing.area > _STEP_IN_SIZE * landmark.area
        case "smaller":
            return landmark.area > _STEP_IN_SIZE * thing.area
        case _:
            size = max(thing.box.width, thing.box.height, landmark.box.width, landmark.box.height)
            return gap(thing, landmark) < size


def gap(first: Thing, second: Thing) -> float:
    """Pixels between the boxes of two things; 0 where they meet."""
    a, b = first.box, second.box
    across = max(a.x0 - b.x1, b.x0 - a.x1, 0.0)
    down = max(a.y0 - b.y1, b.y0 - a.y1, 0.0)
    return float(np.hypot(across, down))


def distance(first: Thing, second: Thing) -> float:
    """Pixels between the centres of two things."""
    return float(np.hypot(first.centre.x - second.centre.x, first.centre.y - second.centre.y))


def between(thing: Thing, first: Thing, second: Thing) -> bool:
    """Whether a thing lies roughly on the way from one landmark to another."""
    detour = distance(first, thing) + distance(thing, second)
    return detour < 1.25 * distance(first, second)
