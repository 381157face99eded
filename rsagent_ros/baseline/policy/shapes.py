"""Shape recognition: how far an outline is from those that each shape model can have."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.shape_models import DIRECTIONS, RAYS, SHAPE_MODELS, Array, ShapeModel

SHAPES = tuple(dict.fromkeys(model.shape for model in SHAPE_MODELS))

_KEPT = {4: 800, 5: 3000, 6: 6000}
"""Number of outlines of a model that are kept to compare with, by its freedoms."""

_FIELD = 0.55
"""Tangent of half the angle that the longer side of a usual camera's picture spans."""

_CONVINCING = 0.015
_BLOCKED_WITHIN = 3.0
"""Pixels from something else up to which an outline may be that one's."""

_LEAST_FREE = 0.4


def distances(mask: Mask, blocked: Mask | None = None, offset: tuple[float, float] = (0.0, 0.0)) -> dict[str, float]:
    """Distance of an object's convex outline from the nearest outline of each shape.

    0 is a perfect match; 0.02 is good, above 0.06 it is none of them.

    Args:
        mask: (h, w) bool, not empty.
        blocked: (h, w) bool, where something else begins that may hide a part of the object. An outline that fits
            nothing as it stands is then judged by its free part alone.
        offset: Position of the object in the picture, from the middle, in units of half the picture's longer side.
    """
    hull = cv2.convexHull(cv2.findNonZero(np.ascontiguousarray(mask).view(np.uint8)))[:, 0]
    along = hull @ RAYS
    reach = along.max(axis=0) + 0.5
    # Whether the picture is a camera's or a drawing is not known: the better reading of each shape counts.
    squeezed = (hull @ _squeeze(offset) @ RAYS).max(axis=0) + 0.5
    whole = _least(_whole_distances(_described(reach)), _whole_distances(_described(squeezed)))
    if blocked is None or not blocked.any() or min(whole.values()) < _CONVINCING:
        return whole
    gaps = cv2.distanceTransform((~blocked).astype(np.uint8), cv2.DIST_L2, 5)
    free = gaps[hull[:, 1], hull[:, 0]][along.argmax(axis=0)] > _BLOCKED_WITHIN
    if free.all() or free.mean() < _LEAST_FREE:
        return whole
    return _least(whole, _partial_distances(np.asarray(reach, dtype=np.float32), free))


def _squeeze(offset: tuple[float, float]) -> Array:
    """(2, 2) map that undoes how a camera draws things out, away from the middle of its picture."""
    away = float(np.hypot(*offset))
    if away == 0.0:
        return np.eye(2)
    outward = np.array(offset) / away
    return np.asarray(np.eye(2) - (1 - 1 / np.hypot(1.0, away * _FIELD)) * np.outer(outward, outward))


def solidity(mask: Mask) -> float:
    """Share of its convex hull that an (h, w) bool mask covers, 0..1; near 1 for convex ones."""
    points = cv2.findNonZero(np.ascontiguousarray(mask).view(np.uint8))
    hull = cv2.convexHull(points)
    # The hull runs through the middles of the outermost pixels: half a pixel is added all around.
    whole = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    return min(1.0, len(points) / whole)


def _least(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {shape: min(first[shape], second[shape]) for shape in SHAPES}


def _described(reach: Array) -> Array:
    """Support functions (..., directions) moved to their Steiner point and scaled to mean 1."""
    middle = 2 * (reach @ RAYS.T) / DIRECTIONS
    centred = reach - middle @ RAYS
    return np.asarray(centred / centred.mean(axis=-1, keepdims=True))


@cache
def _kept(model: ShapeModel) -> NDArray[np.float32]:
    """(n, directions) outlines of a model, as described by `_described`."""
    chosen = np.random.default_rng(1).random((_KEPT[model.freedoms], model.freedoms))
    return _described(model.outlines(chosen)).astype(np.float32)


def _whole_distances(outline: Array) -> dict[str, float]:
    """Root mean square difference of an outline from the nearest one of each shape."""
    nearest = dict.fromkeys(SHAPES, np.inf)
    for model in SHAPE_MODELS:
        gap = float(np.sqrt(np.square(_kept(model) - outline.astype(np.float32)).mean(axis=1).min()))
        nearest[model.shape] = min(nearest[model.shape], gap + model.handicap)
    return nearest


def _partial_distances(reach: NDArray[np.float32], free: NDArray[np.bool_]) -> dict[str, float]:
    """Distances where only the free directions count, wherever and however large the whole object may be.

    Each kept outline is laid on the free part as well as scale and shift allow; where it then does not cover what is
    visible in the other directions, that counts against it.
    """
    rays = RAYS.astype(np.float32)
    shift = np.linalg.pinv(rays[:, free].T)
    unshifted = np.eye(int(free.sum()), dtype=np.float32) - rays[:, free].T @ shift
    target = unshifted @ reach[free]
    nearest = dict.fromkeys(SHAPES, np.inf)
    for model in SHAPE_MODELS:
        kept = _kept(model)
        shapes = kept[:, free] @ unshifted
        size = np.maximum(shapes @ target / np.maximum(np.square(shapes).sum(axis=1), 1e-6), 1e-3)[:, None]
        moved = (reach[free] - size * kept[:, free]) @ shift.T
        short = np.maximum(reach - size * kept - moved @ rays, 0.0)[:, ~free]
        misfit = np.square(target - size * shapes).sum(axis=1) + np.square(short).sum(axis=1)
        gap = float((np.sqrt(misfit / DIRECTIONS) / size[:, 0]).min()) + model.handicap
        nearest[model.shape] = min(nearest[model.shape], gap)
    return nearest
