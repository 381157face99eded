"""Prompts for the segmenter: boxes and points in whole coordinates of the view, chosen from an object's own pixels."""

from __future__ import annotations

import cv2
import numpy as np

from rsagent_ros.agent.actions import Segment
from rsagent_ros.agent.geometry import EXTENT, Box, Point
from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.objects import SceneObject
from rsagent_ros.baseline.policy.observed_view import ObservedView
from rsagent_ros.baseline.policy.overlay import MaskCheck, depth_of, innermost

_MARGIN = 0.02
_MOST_POINTS = 4


def first(seen: ObservedView, target: SceneObject, *, careful: bool) -> Segment:
    """A box around the object and a point on it; `careful`: also points on other objects that reach into the box."""
    negative = tuple(seen.point(innermost(other.mask)) for other in _intruders(seen, target)) if careful else ()
    return Segment(_box(seen, target), (seen.point(innermost(target.mask)),), negative)


def points_only(seen: ObservedView, target: SceneObject) -> Segment:
    """Points all over the object, and no box."""
    return Segment(positive=tuple(seen.point(point) for point in _spread(target.mask)))


def correction(seen: ObservedView, target: SceneObject, check: MaskCheck, mask: int | None) -> Segment:
    """Points that should put a mask right: on the parts that are missing, and on those that are too much.

    Args:
        seen: The view.
        target: The object that was meant.
        check: The faults of the mask.
        mask: The mask to start from; None to start anew, with more points on the object.
    """
    positive = [seen.from_overlay(spot) for spot in check.missing_spots]
    if mask is None or not positive:
        positive += _spread(target.mask)
    negative = [seen.from_overlay(spot) for spot in check.leak_spots]
    negative += [innermost(other.mask) for other in _intruders(seen, target)] if mask is None else []
    return Segment(
        _box(seen, target),
        tuple(seen.point(point) for point in positive[:_MOST_POINTS]),
        tuple(seen.point(point) for point in negative[: 2 * _MOST_POINTS]),
        mask,
    )


def zoom_box(seen: ObservedView, target: SceneObject, factor: float) -> Box:
    """A square around an object, its side a multiple of the object's longer side, as far as the view goes."""
    reach = factor * max(target.box.width, target.box.height) / 2
    middle = target.box.center
    return seen.box(Box(middle.x - reach, middle.y - reach, middle.x + reach, middle.y + reach))


def position(seen: ObservedView, target: SceneObject) -> str:
    """Position of an object in coordinates of the view, as in "[430, 520]"."""
    middle = seen.point(innermost(target.mask))
    return f"[{middle.x:.0f}, {middle.y:.0f}]"


def _spread(mask: Mask) -> list[Point]:
    """A few points well inside an (h, w) bool mask and far from each other."""
    depth = depth_of(mask)
    deepest = float(depth.max())
    reach = max(2, round(0.4 * float(np.sqrt(np.count_nonzero(mask)))))
    points: list[Point] = []
    while len(points) < _MOST_POINTS and float(depth.max()) > 0.3 * deepest:
        y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
        points.append(Point(float(x) + 0.5, float(y) + 0.5))
        cv2.circle(depth, (int(x), int(y)), reach, 0.0, -1)
    return points


def _box(seen: ObservedView, target: SceneObject) -> Box:
    box = seen.box(target.box, max(1.0, _MARGIN * max(target.box.width, target.box.height)))
    # The smallest objects may round to nothing.
    return Box(box.x0, box.y0, min(max(box.x1, box.x0 + 1), EXTENT), min(max(box.y1, box.y0 + 1), EXTENT))


def _intruders(seen: ObservedView, target: SceneObject) -> list[SceneObject]:
    """Other objects of which a good part lies in the target's box."""
    return [
        other
        for other in seen.objects
        if other is not target
        and not (other.mask & target.mask).any()
        and other.box.intersection(target.box).area > 0.25 * max(1.0, other.box.area)
    ][:_MOST_POINTS]
