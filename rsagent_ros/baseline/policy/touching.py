"""Things of one colour that touch each other: told apart by the notches of their common outline where they meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.outlines import distances, solidity

_ONE_THING = 0.945
"""Solidity from which on a mask is one convex thing."""

_SMALLEST = 300
_NOTCH = 0.045
"""Depth of a notch, relative to the square root of the area."""

_MOST_NOTCHES = 8
_SMALLEST_PART = 0.06
_LEAST_GAIN = 0.075
_LONGEST_CUT = 1.0
"""Relative to the square root of the smaller part's area."""

_WORST_FIT = 0.06
"""Distance from the nearest known shape up to which a part is believed to be a thing of its own..."""

_LARGE_GAIN, _WORST_FIT_THEN = 0.15, 0.09
"""... and where the parts are so much more solid than the whole."""

_LONGEST = 3.5
"""Times its width: what is longer is rather the handle of something."""

_DEEPEST = 4


@dataclass(frozen=True, eq=False)
class _Cut:
    """A way to part a mask in two: how much more solid the parts are, and how long the cut is."""

    parts: tuple[Mask, Mask]
    gain: float
    length: float


def parted(mask: Mask) -> list[Mask]:
    """The things that a connected (h, w) bool mask seems to be made of; just itself where they would fit no shape."""
    pieces = _parted(mask, _DEEPEST)
    if len(pieces) == 1:
        return pieces
    solid = np.average([solidity(piece) for piece in pieces], weights=[np.count_nonzero(piece) for piece in pieces])
    limit = _WORST_FIT_THEN if solid - solidity(mask) > _LARGE_GAIN else _WORST_FIT
    whole_things = all(min(distances(piece).values()) < limit and _length(piece) < _LONGEST for piece in pieces)
    return pieces if whole_things else [mask]


def _length(mask: Mask) -> float:
    """How many times longer than wide a mask is."""
    _, (width, height), _ = cv2.minAreaRect(cv2.findNonZero(mask.astype(np.uint8)))
    return (max(width, height) + 1) / (min(width, height) + 1)


def _parted(mask: Mask, depth: int) -> list[Mask]:
    cut = _best_cut(mask) if depth else None
    if cut is None or cut.gain < _LEAST_GAIN or cut.length > _LONGEST_CUT:
        return [mask]
    return [piece for part in cut.parts for piece in _parted(part, depth - 1)]


def _best_cut(mask: Mask) -> _Cut | None:
    """The cut between two notches that leaves the most solid parts, shorter ones preferred."""
    whole = solidity(mask)
    if whole > _ONE_THING or np.count_nonzero(mask) < _SMALLEST:
        return None
    cuts = []
    for first, second in combinations(_notches(mask), 2):
        parts = _sides(mask, first, second)
        if parts is not None:
            areas = [np.count_nonzero(part) for part in parts]
            solid = np.average([solidity(part) for part in parts], weights=areas)
            length = np.hypot(first[0] - second[0], first[1] - second[1]) / np.sqrt(min(areas))
            cuts.append(_Cut(parts, float(solid - whole), float(length)))
    return max(cuts, key=lambda cut: cut.gain - 0.1 * cut.length, default=None)


def _notches(mask: Mask) -> list[tuple[int, int]]:
    """The deepest points (x, y) of the outline's notches, the deepest notch first."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)
    hull = np.sort(cv2.convexHull(contour, returnPoints=False), axis=0)[::-1]
    defects = cv2.convexityDefects(contour, np.ascontiguousarray(hull)) if len(hull) > 3 else None
    if defects is None:
        return []
    least = max(2.0, _NOTCH * float(np.sqrt(np.count_nonzero(mask))))
    # OpenCV counts depths in 1/256 pixel.
    deep = sorted(((depth / 256, far) for _, _, far, depth in defects[:, 0].tolist()), reverse=True)
    points = [contour[far, 0].tolist() for depth, far in deep[:_MOST_NOTCHES] if depth >= least]
    return [(x, y) for x, y in points]


def _sides(mask: Mask, first: tuple[int, int], second: tuple[int, int]) -> tuple[Mask, Mask] | None:
    """The mask on either side of the line between two points; None where the line does not part it in two."""
    left = mask.astype(np.uint8)
    cv2.line(left, first, second, 0, 2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(left, connectivity=4)
    least = _SMALLEST_PART * np.count_nonzero(mask)
    large = [number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= least]
    if len(large) != 2:
        return None
    # What the line took, and any crumbs, go to the nearer side.
    gaps = [cv2.distanceTransform((labels != number).astype(np.uint8), cv2.DIST_L2, 3) for number in large]
    nearer = gaps[0] <= gaps[1]
    return mask & nearer, mask & ~nearer
