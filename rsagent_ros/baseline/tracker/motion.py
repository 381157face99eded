"""Motion of a patch between two frames: optical flow, checked there and back, and one transform for all of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, area

Grey = NDArray[np.uint8]
Matrix = NDArray[np.float64]

IDENTITY: Matrix = np.eye(3)

_MOST_POINTS = 120
_LEAST_POINTS = 6
_QUALITY = 0.005
"""Quality of the weakest corner that is followed, relative to the strongest: weak ones are checked, too."""

_AFFINE_POINTS = 16
_AFFINE_SPREAD = 0.5
"""With fewer points, or points in one corner of the patch, six numbers follow noise: turn, scale and shift only.
The spread is the area of the points' convex hull as a share of the patch's."""

_WINDOW = (21, 21)
_LEVELS = 4
_THERE_AND_BACK = 1.0
"""Pixels by which a point that is followed there and back may miss itself (forward-backward error: Kalal 2010)."""

_REPROJECTION = 1.5
_MAX_SCALE = 1.5
_DENSE_SIDE = 160
_ALIKE = 0.6
"""Correlation of shape and colours from which on an object counts as seen there."""

_BETTER = 0.03
"""Margin by which another place must be better: where the object ends is less sure than how its points moved."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Motion of a patch.

    Attributes:
        matrix: (3, 3) float64, from pixels (x, y, 1) of the older frame to those of the newer; affine.
        support: Share of the points that agree with it, 0..1.
    """

    matrix: Matrix
    support: float


def sparse_motion(before: Grey, after: Grey, patch: Mask) -> Motion | None:
    """The transform that corners of a patch agree on; None where it has too few of them, or they do not agree.

    Lucas-Kanade in pyramids, there and back, then RANSAC.

    Args:
        before: (h, w) uint8, the older frame.
        after: (h, w) uint8, the newer one.
        patch: (h, w) bool, of the older one.
    """
    apart = max(4.0, float(np.sqrt(np.count_nonzero(patch) / _MOST_POINTS)))
    strong = cv2.goodFeaturesToTrack(before, _MOST_POINTS, _QUALITY, apart, mask=patch.astype(np.uint8), blockSize=5)
    corners = np.empty((0, 1, 2), np.float32) if strong is None else np.asarray(strong, dtype=np.float32)
    if len(corners) < _LEAST_POINTS:
        return None
    there, found = _followed(before, after, corners)
    back, returned = _followed(after, before, there)
    missed = np.linalg.norm((back - corners)[:, 0], axis=1)
    good = found & returned & (missed < _THERE_AND_BACK)
    if np.count_nonzero(good) < _LEAST_POINTS:
        return None
    source, target = corners[good], there[good]
    # OpenCV's RANSAC draws from its thread's random numbers: the same frames must give the same track.
    cv2.setRNGSeed(1)
    spread = cv2.contourArea(cv2.convexHull(source)) / area(patch)
    whole = len(source) >= _AFFINE_POINTS and spread >= _AFFINE_SPREAD
    estimate = cv2.estimateAffine2D if whole else cv2.estimateAffinePartial2D
    matrix, inliers = estimate(source, target, method=cv2.RANSAC, ransacReprojThreshold=_REPROJECTION)
    if matrix is None or np.count_nonzero(inliers) < _LEAST_POINTS:
        return None
    motion = Motion(np.vstack([matrix, [0.0, 0.0, 1.0]]), np.count_nonzero(inliers) / len(corners))
    return motion if is_plausible(motion.matrix) else None


def _followed(before: Grey, after: Grey, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """New positions of (N, 1, 2) points, and (N,) whether they were found."""
    start = points.copy()
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, start, winSize=_WINDOW, maxLevel=_LEVELS)
    return np.asarray(there, dtype=np.float32), np.asarray(found)[:, 0] > 0


def dense_motion(before: Grey, after: Grey, patch: Mask) -> Motion | None:
    """The shift that most pixels of a patch agree on, where it has no corners; None for an empty patch.

    Dense inverse search (Kroeger, ECCV 2016) around the patch; the support is the share within two pixels.
    """
    x, y, width, height = cv2.boundingRect(patch.astype(np.uint8))
    if width == 0:
        return None
    margin = 8 + max(width, height) // 2
    rows = slice(max(0, y - margin), y + height + margin)
    columns = slice(max(0, x - margin), x + width + margin)
    parts = before[rows, columns], after[rows, columns]
    scale = min(1.0, _DENSE_SIDE / max(parts[0].shape))
    if min(parts[0].shape) * scale < 16:
        return None
    small = [cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for part in parts]
    dense = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = dense.calc(small[0], small[1], np.zeros((*small[0].shape, 2), np.float32))
    inside = (
        cv2.resize(patch[rows, columns].astype(np.uint8), small[0].shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    )
    if not inside.any():
        return None
    steps = flow[inside] / scale
    shift = np.median(steps, axis=0)
    matrix = IDENTITY.copy()
    matrix[:2, 2] = shift
    return Motion(matrix, float(np.mean(np.linalg.norm(steps - shift, axis=1) < 2.0)))


def is_plausible(matrix: Matrix) -> bool:
    """Whether nothing grows, shrinks or is sheared by more than a factor between two frames of a camera."""
    stretches = np.linalg.svd(matrix[:2, :2], compute_uv=False)
    return bool(np.isfinite(matrix).all() and stretches[0] < _MAX_SCALE and stretches[1] > 1 / _MAX_SCALE)


def shift_to(own: Mask, body: Mask, reach: int) -> Matrix | None:
    """The shift that lays a shape onto pixels that look like it, as a (3, 3) matrix.

    Args:
        own: (h, w) bool: pixels that have the object's colours.
        body: (h, w) bool: the shape, somewhere in the same window.
        reach: Most pixels to either side.

    Returns:
        None where nothing looks like it, or nothing clearly more so than where the shape is.
    """
    x, y, width, height = cv2.boundingRect(body.astype(np.uint8))
    if width == 0:
        return None
    # One pixel more on each side: a shape that fills its box has no contrast of its own.
    shape = np.pad(body[y : y + height, x : x + width].astype(np.float32), 1)
    around = np.pad(own.astype(np.float32), reach + 1)
    part = around[y : y + height + 2 + 2 * reach, x : x + width + 2 + 2 * reach]
    likeness = np.nan_to_num(cv2.matchTemplate(part, shape, cv2.TM_CCOEFF_NORMED), posinf=0.0, neginf=0.0)
    _, best, _, (column, row) = cv2.minMaxLoc(likeness)
    if best < _ALIKE or best < likeness[reach, reach] + _BETTER:
        return None
    matrix = IDENTITY.copy()
    matrix[:2, 2] = column - reach, row - reach
    return matrix
