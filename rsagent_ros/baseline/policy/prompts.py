"""Prompts for a segmenter: boxes and points in whole coordinates of the view, chosen from a thing's own pixels."""

from __future__ import annotations

import cv2
import numpy as np

from rsagent_ros.agent.actions import Segment
from rsagent_ros.agent.geometry import EXTENT, Box, Point
from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.inspection import Check, innermost
from rsagent_ros.baseline.policy.perception import Thing
from rsagent_ros.baseline.policy.sight import Sight

_MARGIN = 0.02
_MOST_POINTS = 4


def first(sight: Sight, thing: Thing, *, careful: bool = False) -> Segment:
    """A box around the thing and a point on it; `careful`: also points on other things that reach into the box."""
    negative = tuple(sight.point(innermost(other.mask)) for other in _intruders(sight, thing)) if careful else ()
    return Segment(_box(sight, thing), (sight.point(innermost(thing.mask)),), negative)


def correction(sight: Sight, thing: Thing, check: Check, mask: int | None) -> Segment:
    """What should put a mask right: points on what is missing and on what is too much.

    Args:
        sight: What is looked at.
        thing: What was meant.
        check: What is wrong with the mask.
        mask: The mask to start from; None to start anew, with more points on the thing.
    """
    positive = [sight.spot(spot) for spot in check.missing_spots]
    if mask is None or not positive:
        positive += spread(thing.mask)
    negative = [sight.spot(spot) for spot in check.leak_spots]
    negative += [innermost(other.mask) for other in _intruders(sight, thing)] if mask is None else []
    return Segment(
        _box(sight, thing),
        tuple(sight.point(point) for point in positive[:_MOST_POINTS]),
        tuple(sight.point(point) for point in negative[: 2 * _MOST_POINTS]),
        mask,
    )


def points_only(sight: Sight, thing: Thing) -> Segment:
    """Points all over the thing, and no box."""
    return Segment(positive=tuple(sight.point(point) for point in spread(thing.mask)))


def zoom_box(sight: Sight, thing: Thing, factor: float) -> Box:
    """A square around a thing, its side a multiple of the thing's longer side, as far as the view goes."""
    reach = factor * max(thing.box.width, thing.box.height) / 2
    middle = thing.box.center
    return sight.box(Box(middle.x - reach, middle.y - reach, middle.x + reach, middle.y + reach))


def spread(mask: Mask) -> list[Point]:
    """A few points well inside an (h, w) bool mask and far from each other."""
    left = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(left, cv2.DIST_L2, 5)[1:-1, 1:-1]
    deepest = float(depth.max())
    reach = max(2, round(0.4 * float(np.sqrt(np.count_nonzero(mask)))))
    points: list[Point] = []
    while len(points) < _MOST_POINTS and float(depth.max()) > 0.3 * deepest:
        y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
        points.append(Point(float(x) + 0.5, float(y) + 0.5))
        cv2.circle(depth, (int(x), int(y)), reach, 0.0, -1)
    return points


def place(sight: Sight, thing: Thing) -> str:
    """Where a thing is, in coordinates of the view: "[430, 520]"."""
    middle = sight.point(innermost(thing.mask))
    return f"[{middle.x:.0f}, {middle.y:.0f}]"


def _box(sight: Sight, thing: Thing) -> Box:
    box = sight.box(thing.box, max(1.0, _MARGIN * max(thing.box.width, thing.box.height)))
    # The smallest things may round to nothing.
    return Box(box.x0, box.y0, min(max(box.x1, box.x0 + 1), EXTENT), min(max(box.y1, box.y0 + 1), EXTENT))


def _intruders(sight: Sight, thing: Thing) -> list[Thing]:
    """Other things of which a good part lies in the thing's box."""
    return [
        other
        for other in sight.things
        if other is not thing and not (other.mask & thing.mask).any() and _share_in(other, thing.box) > 0.25
    ][:_MOST_POINTS]


def _share_in(other: Thing, box: Box) -> float:
    return other.box.intersection(box).area / max(1.0, other.box.area)
