"""Reading an overlay: which pixels the mask covers, and how that differs from the object that was meant."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Point
from rsagent_ros.agent.mask import DIM, EDGE_COLOUR, Mask

_SLACK = 0.08
"""Share of the object that may be missing, and that the mask may cover too much, in a mask that is accepted."""

_EDGE_WIDTH = 3
"""Pixels of the overlay along the object's edge where neither counts: scaling and drawing blur it."""

_SMALLEST_SPOT = 4


@dataclass(frozen=True, eq=False)
class MaskCheck:
    """Comparison of a mask with the object that it should show. Points are pixels of the overlay.

    Attributes:
        agreement: Intersection over union of the two.
        missing: Share of the object that the mask does not cover, its edge left out.
        leak: Area that it covers beside the object, its edge left out, relative to the object's size.
        missing_spots, leak_spots: The middle of each part that is missing or too much, the largest first.
    """

    agreement: float
    missing: float
    leak: float
    missing_spots: tuple[Point, ...]
    leak_spots: tuple[Point, ...]

    @property
    def good(self) -> bool:
        """Whether the mask shows the object, all of it, and nothing else."""
        return self.missing <= _SLACK and self.leak <= _SLACK and self.agreement > 0.5


def covered(overlay: NDArray[np.uint8], view: NDArray[np.uint8]) -> Mask:
    """The pixels of a view that the mask covers, read from its overlay.

    Args:
        overlay: (h, w, 3) uint8 RGB, cut to the view: a magenta line runs along the mask's edge, and all outside of
            the mask is darkened.
        view: (h, w, 3) uint8 RGB, the clean view at the same size.

    Returns:
        (h, w) bool.
    """
    line = np.all(overlay == np.array(EDGE_COLOUR, np.uint8), axis=2)
    # The line closes regions off from each other, and each of them as a whole is bright or dark: black things too.
    count, regions = cv2.connectedComponents((~line).astype(np.uint8), connectivity=4)
    seen, clean = overlay.astype(np.float32), view.astype(np.float32)
    bright = np.abs(seen - clean).sum(axis=2)
    dark = np.abs(seen - clean * DIM).sum(axis=2)
    votes = np.bincount(regions.ravel(), (dark - bright).ravel(), minlength=count)
    inside = votes > 0
    inside[0] = True  # the line itself
    return np.asarray(inside[regions])


def compared(mask: Mask, target: Mask) -> MaskCheck:
    """Compare a mask with the object that was meant, both (h, w) bool; the latter must not be empty."""
    size = int(np.count_nonzero(target))
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_EDGE_WIDTH, _EDGE_WIDTH))
    core = cv2.erode(target.astype(np.uint8), shape, borderValue=0) > 0
    reach = cv2.dilate(target.astype(np.uint8), shape) > 0
    missing, leak = core & ~mask, mask & ~reach
    union = int(np.count_nonzero(mask | target))
    return MaskCheck(
        int(np.count_nonzero(mask & target)) / union,
        int(np.count_nonzero(missing)) / size,
        int(np.count_nonzero(leak)) / size,
        _spots(missing),
        _spots(leak),
    )


def depth_of(mask: Mask) -> NDArray[np.float32]:
    """(h, w) distance in pixels of each pixel of an (h, w) bool mask from its edge or the picture's border."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return np.ascontiguousarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], dtype=np.float32)


def innermost(mask: Mask) -> Point:
    """The point of an (h, w) bool mask farthest from its edge. The mask must not be empty."""
    depth = depth_of(mask)
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return Point(float(x) + 0.5, float(y) + 0.5)


def _spots(mask: Mask) -> tuple[Point, ...]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= _SMALLEST_SPOT]
    large.sort(key=lambda n: -stats[n, cv2.CC_STAT_AREA])
    return tuple(innermost(labels == n) for n in large[:4])
