"""Touching objects of one colour, told apart by the notches of their common outline where they meet."""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.shapes import distances, solidity

_ONE_OBJECT = 0.945
"""Solidity from which on a mask is one convex object."""

_SMALLEST = 300
_NOTCH = 0.045
"""Depth of a notch, relative to the square root of the area."""

_MOST_NOTCHES = 8
_SMALLEST_PART = 0.06
_LEAST_GAIN = 0.075
_LONGEST_CUT = 1.0
"""Length of a cut, relative to the square root of the smaller part's area."""

_WORST_FIT = 0.06
"""Distance from the nearest shape up to which a part is believed to be an object of its own..."""

_LARGE_GAIN, _WORST_FIT_THEN = 0.15, 0.09
"""... and where the parts are so much more solid than the whole."""

_LONGEST = 3.5
"""Length of an object in widths, at most: a longer one is rather the handle of something."""

_MOST_CUTS_IN_A_ROW = 4


def split(mask: Mask) -> list[Mask]:
    """The objects that a connected (h, w) bool mask seems to consist of; just itself where its parts fit no shape."""
    pieces = _cut_up(mask, _MOST_CUTS_IN_A_ROW)
    if len(pieces) == 1:
        return pieces
    limit = _WORST_FIT_THEN if _mean_solidity(pieces) - solidity(mask) > _LARGE_GAIN else _WORST_FIT
    whole_objects = all(min(distances(piece).values()) < limit and _length(piece) < _LONGEST for piece in pieces)
    return pieces if whole_objects else [mask]


def _mean_solidity(parts: list[Mask]) -> float:
    return float(np.average([solidity(part) for part in parts], weights=[np.count_nonzero(part) for part in parts]))


def _length(mask: Mask) -> float:
    """Length of a mask in widths."""
    _, (width, height), _ = cv2.minAreaRect(cv2.findNonZero(mask.astype(np.uint8)))
    return (max(width, height) + 1) / (min(width, height) + 1)


def _cut_up(mask: Mask, cuts: int) -> list[Mask]:
    """The pieces after at most so many cuts in a row, each between the two notches that leave the most solid parts."""
    whole = solidity(mask)
    if not cuts or whole > _ONE_OBJECT or np.count_nonzero(mask) < _SMALLEST:
        return [mask]
    best, parts = -np.inf, [mask]
    for first, second in combinations(_notches(mask), 2):
        sides = _sides(mask, first, second)
        if len(sides) == 2:
            gain = _mean_solidity(sides) - whole
            length = np.hypot(first[0] - second[0], first[1] - second[1]) / np.sqrt(min(map(np.count_nonzero, sides)))
            if gain - 0.1 * length > best:
                best = gain - 0.1 * length
                parts = sides if gain >= _LEAST_GAIN and length <= _LONGEST_CUT else [mask]
    return parts if len(parts) == 1 else [piece for part in parts for piece in _cut_up(part, cuts - 1)]


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


def _sides(mask: Mask, first: tuple[int, int], second: tuple[int, int]) -> list[Mask]:
    """The mask on either side of the line between two points; nothing where the line does not part it in two."""
    left = mask.astype(np.uint8)
    cv2.line(left, first, second, 0, 2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(left, connectivity=4)
    least = _SMALLEST_PART * np.count_nonzero(mask)
    large = [number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= least]
    if len(large) != 2:
        return []
    # The pixels of the line, and any crumbs, go to the nearer side.
    gaps = [cv2.distanceTransform((labels != number).astype(np.uint8), cv2.DIST_L2, 3) for number in large]
    nearer = gaps[0] <= gaps[1]
    return [mask & nearer, mask & ~nearer]
