"""Spatial relations: which object is left of which, which comes second from the left, which are in the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from rsagent_ros.baseline.policy.objects import SceneObject

_STEP = 0.02
"""Share of the picture's width or height by which places must differ to count as different."""

_STEP_IN_SIZE = 1.2
"""Ratio of areas from which on one object is the larger one."""

_SORT_KEYS: dict[str, Callable[[SceneObject], float]] = {
    "left": lambda item: item.centre.x,
    "right": lambda item: -item.centre.x,
    "top": lambda item: item.centre.y,
    "bottom": lambda item: -item.centre.y,
    # On a table, what stands nearer is lower in the picture.
    "near": lambda item: -(item.centre.y + item.box.y1),
    "far": lambda item: item.centre.y + item.box.y1,
    "large": lambda item: -item.area,
    "small": lambda item: item.area,
}


def in_order(objects: Sequence[SceneObject], direction: str) -> list[SceneObject]:
    """The objects as they are counted from a direction; from the middle outwards for "middle"."""
    if direction == "middle":
        row = in_order(objects, "left")
        middle = (len(row) - 1) / 2
        return [item for _, item in sorted(enumerate(row), key=lambda pair: abs(pair[0] - middle))]
    return sorted(objects, key=_SORT_KEYS[direction])


def of_size(objects: Sequence[SceneObject], size: str) -> list[SceneObject]:
    """The small or the large ones of some objects: those before the widest step in size; all where there is none."""
    row = in_order(objects, size)
    ratios = [max(a.area / b.area, b.area / a.area) for a, b in pairwise(row)]
    if not ratios or max(ratios) < _STEP_IN_SIZE:
        return row
    return row[: int(np.argmax(ratios)) + 1]


def on_side(objects: Sequence[SceneObject], side: str) -> list[SceneObject]:
    """The objects that lie in a part of the picture; near is the bottom, far the top."""

    def share(item: SceneObject) -> float:
        height, width = item.mask.shape
        x, y = item.centre.x / width, item.centre.y / height
        return {
            "left": x, "right": 1 - x, "top": y, "far": y, "bottom": 1 - y, "near": 1 - y,
            "middle": max(abs(x - 0.5), abs(y - 0.5)) * 2,
        }[side]  # fmt: skip

    inside = [item for item in objects if share(item) < 0.55]
    if len(inside) < 2:
        return inside
    first, second = sorted(inside, key=share)[:2]
    # "The one on the left" is the leftmost when it is clearly farther left than the others.
    return [first] if share(second) - share(first) > 0.15 else inside


def related(kind: str, item: SceneObject, landmark: SceneObject) -> bool:
    """Whether an object is in a relation of `vocabulary.RELATIONS` to a landmark; any unknown one is "next"."""
    height, width = item.mask.shape
    right, down = (item.centre.x - landmark.centre.x) / width, (item.centre.y - landmark.centre.y) / height
    in_line = abs(item.centre.x - landmark.centre.x) < 0.6 * (item.box.width + landmark.box.width)
    lower = (item.box.y1 - landmark.box.y1) / height
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
            return gap(item, landmark) == 0 and landmark.box.y0 < item.box.y1 < landmark.box.y1 and in_line
        case "with":
            return related("on", landmark, item)
        case "larger":
            return item.area > _STEP_IN_SIZE * landmark.area
        case "smaller":
            return landmark.area > _STEP_IN_SIZE * item.area
        case _:
            return gap(item, landmark) < max(item.box.width, item.box.height, landmark.box.width, landmark.box.height)


def gap(first: SceneObject, second: SceneObject) -> float:
    """Pixels between the boxes of two objects; 0 where they meet."""
    a, b = first.box, second.box
    return float(np.hypot(max(a.x0 - b.x1, b.x0 - a.x1, 0.0), max(a.y0 - b.y1, b.y0 - a.y1, 0.0)))


def distance(first: SceneObject, second: SceneObject) -> float:
    """Pixels between the centres of two objects."""
    return float(np.hypot(first.centre.x - second.centre.x, first.centre.y - second.centre.y))


def between(item: SceneObject, first: SceneObject, second: SceneObject) -> bool:
    """Whether an object lies roughly on the way from one landmark to another."""
    return distance(first, item) + distance(item, second) < 1.25 * distance(first, second)
