"""Boundary F: how well the outlines of two masks agree, as in DAVIS (Perazzi et al., CVPR 2016, section 4.1).

The boundary of a mask is every pixel that differs from its neighbour to the right, below, or to the lower right. A
pixel of one boundary is matched when a pixel of the other is no further away than the tolerance: 0.8 % of the image's
diagonal, rounded up to whole pixels. Precision is the matched share of the answer's boundary, recall that of the
truth's, and F = 2 P R / (P + R). Distances are exact (Euclidean), where DAVIS dilates with a disk of the same radius:
the same thing.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask

TOLERANCE = 0.008
"""Share of the image's diagonal."""


def boundary_f(answer: Mask, truth: Mask, ignore: Mask | None = None, tolerance: float = TOLERANCE) -> float:
    """F of two (H, W) bool masks, 0..1; 1 when neither has a boundary, 0 when only one has.

    Args:
        answer: Somebody's mask.
        truth: What is right.
        ignore: (H, W) bool; boundary pixels on it, or within the tolerance of it, are left out of both.
        tolerance: Share of the image's diagonal.
    """
    radius = math.ceil(tolerance * math.hypot(*truth.shape))
    box = _around(answer, truth, radius)
    if box is None:
        return 1.0
    ours, theirs = _boundary(answer, box), _boundary(truth, box)
    if ignore is not None and ignore.any():
        counts = ~_near(np.ascontiguousarray(ignore[box]), radius)
        ours, theirs = ours & counts, theirs & counts
    lengths = int(np.count_nonzero(ours)), int(np.count_nonzero(theirs))
    if 0 in lengths:
        return float(lengths == (0, 0))
    precision = int(np.count_nonzero(ours & _near(theirs, radius))) / lengths[0]
    recall = int(np.count_nonzero(theirs & _near(ours, radius))) / lengths[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _around(a: Mask, b: Mask, margin: int) -> tuple[slice, slice] | None:
    """The part of the image that matters: most masks are small, and the rest of it takes time. None for two empty."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(a | b).view(np.uint8))
    if not width:
        return None
    top, left = max(0, y - margin - 1), max(0, x - margin - 1)
    return slice(top, y + height + margin + 1), slice(left, x + width + margin + 1)


def _boundary(mask: Mask, box: tuple[slice, slice]) -> NDArray[np.bool_]:
    here = mask[box]
    edge = np.zeros_like(here)
    edge[:, :-1] |= here[:, :-1] != here[:, 1:]
    edge[:-1] |= here[:-1] != here[1:]
    edge[:-1, :-1] |= here[:-1, :-1] != here[1:, 1:]
    return edge


def _near(pixels: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Pixels no further than the radius from any of these."""
    if not pixels.any():
        return np.zeros_like(pixels)
    distance = cv2.distanceTransform((~pixels).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= radius + 1e-3)
