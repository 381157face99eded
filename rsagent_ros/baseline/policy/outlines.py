"""Which shape an outline could be: compared with those that balls, boxes, cylinders, cones and drawings can have."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.bodies import BODIES, DIRECTIONS, RAYS, Array, Body

SHAPES = tuple(dict.fromkeys(body.shape for body in BODIES))

_KNOWN_OF_EACH = {4: 800, 5: 3000, 6: 6000}
"""How many outlines of a body are known by heart, by its freedoms."""

_SEED = 1
_STARTS = 5
_VARIED = 200
_STEPS = (0.12, 0.06, 0.03, 0.015)
"""From the nearest known outlines on, better ones are sought by varying them in ever smaller steps."""

_HOPELESS = 0.03
"""What is farther than this from the best known one is not sought for."""

_FIELD = 0.55
"""Tangent of half the angle that the picture's longer side is taken to span, cameras being as they are."""

_CONVINCING = 0.015
_BLOCKED_WITHIN = 3.0
"""Pixels from something else up to which an outline may be that one's."""

_LEAST_FREE = 0.4


def distances(mask: Mask, blocked: Mask | None = None, offset: tuple[float, float] = (0.0, 0.0)) -> dict[str, float]:
    """How far the convex outline of a thing is from the nearest outline of each shape.

    0 is a perfect match; 0.02 is good, above 0.06 it is none of them.

    Args:
        mask: (h, w) bool, not empty.
        blocked: (h, w) bool, where something else begins that may hide a part of the thing. An outline that fits
            nothing as it stands is then judged by its free part alone.
        offset: Where in the picture the thing is, from the middle, in units of half the picture's longer side.
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
    """Share of its convex hull that an (h, w) bool mask covers, 0..1; near 1 for convex things."""
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
def _known(body: Body) -> tuple[Array, NDArray[np.float32]]:
    """The outlines of a body that are known by heart: (n, freedoms) numbers and (n, directions) descriptions."""
    chosen = np.random.default_rng(_SEED).random((_KNOWN_OF_EACH[body.freedoms], body.freedoms))
    return chosen, _described(body.outlines(chosen)).astype(np.float32)


def _whole_distances(outline: Array) -> dict[str, float]:
    gaps = [_gaps(_known(body)[1], outline.astype(np.float32)) for body in BODIES]
    least = min(float(gap.min()) for gap in gaps)
    nearest = dict.fromkeys(SHAPES, np.inf)
    for body, gap in zip(BODIES, gaps, strict=True):
        best = float(gap.min())
        if best < least + _HOPELESS:
            starts = _known(body)[0][np.argsort(gap)[:_STARTS]]
            best = min(best, _refined(body, starts, outline))
        nearest[body.shape] = min(nearest[body.shape], best + body.handicap)
    return nearest


def _refined(body: Body, starts: Array, outline: Array) -> float:
    """The distance to the best outline that is found by varying some first ones."""
    rng = np.random.default_rng(_SEED)
    gap = np.inf
    for step in _STEPS:
        tries = np.repeat(starts, _VARIED // len(starts), axis=0)
        tries = np.clip(tries + step * rng.standard_normal(tries.shape), 0.0, 1.0)
        gaps = _gaps(_described(body.outlines(tries)), outline)
        gap = min(gap, float(gaps.min()))
        starts = tries[np.argsort(gaps)[: len(starts)]]
    return gap


def _gaps(known: NDArray[np.floating], outline: NDArray[np.floating]) -> NDArray[np.floating]:
    """Root mean square differences between (n, directions) outlines and one."""
    return np.sqrt(np.square(known - outline).mean(axis=1))


def _partial_distances(reach: NDArray[np.float32], free: NDArray[np.bool_]) -> dict[str, float]:
    """Distances where only the free directions count, wherever and however large the thing as a whole may be.

    Each known outline is laid on the free part as well as scale and shift allow; where it then does not cover what is
    visible in the other directions, that counts against it.
    """
    rays = RAYS.astype(np.float32)
    shift = np.linalg.pinv(rays[:, free].T)
    unshifted = np.eye(int(free.sum()), dtype=np.float32) - rays[:, free].T @ shift
    target = unshifted @ reach[free]
    nearest = dict.fromkeys(SHAPES, np.inf)
    for body in BODIES:
        known = _known(body)[1]
        shapes = known[:, free] @ unshifted
        size = np.maximum(shapes @ target / np.maximum(np.square(shapes).sum(axis=1), 1e-6), 1e-3)[:, None]
        moved = (reach[free] - size * known[:, free]) @ shift.T
        short = np.maximum(reach - size * known - moved @ rays, 0.0)[:, ~free]
        misfit = np.square(target - size * shapes).sum(axis=1) + np.square(short).sum(axis=1)
        gap = float((np.sqrt(misfit / DIRECTIONS) / size[:, 0]).min()) + body.handicap
        nearest[body.shape] = min(nearest[body.shape], gap)
    return nearest
