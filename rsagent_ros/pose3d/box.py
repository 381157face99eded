"""Oriented box of an object's visible points, upright on its support plane where one is known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.pose3d.support import Plane, Vector
from rsagent_ros.pose3d.surface import Points

_TRIM = 0.5
"""Percentile at either end of an axis that is cut off: noise has long tails."""


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """Box in the camera's optical frame.

    Attributes:
        centre: (3,) metres.
        axes: (3, 3) rotation, its columns the box's x, y and z in the optical frame; z is up where that is known.
        size: (3,) metres along these axes.
    """

    centre: Vector
    axes: NDArray[np.float64]
    size: Vector


def fit_box(points: Points, support: Plane | None) -> OrientedBox:
    """Fit a box to (N, 3) points, N at least 1.

    With a support plane, z is its normal, the bottom lies on it, and the outline seen from above has the least area.
    Without, the axes are the principal components. Unseen parts are not extrapolated: the back of a ball is missing.
    """
    cloud = points.astype(np.float64)
    up = _least_spread(cloud) if support is None else support.normal
    across = np.cross(up, [0.0, 0.0, 1.0] if abs(up[2]) < 0.9 else [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    along = np.cross(up, across)
    flat = cloud @ np.stack([across, along], axis=1)
    angle = _rectangle_angle(flat)
    x = np.cos(angle) * across + np.sin(angle) * along
    axes = np.stack([x, np.cross(up, x), up], axis=1)
    low, high = np.percentile(cloud @ axes, [_TRIM, 100 - _TRIM], axis=0)
    if support is not None and low[2] > support.offset:
        low[2] = support.offset
    if high[1] - low[1] > high[0] - low[0]:  # x is the longer side on the ground
        axes = np.stack([axes[:, 1], -axes[:, 0], axes[:, 2]], axis=1)
        low, high = (np.array([low[1], -high[0], low[2]]), np.array([high[1], -low[0], high[2]]))
    return OrientedBox(axes @ ((low + high) / 2), axes, high - low)


def quaternion(axes: NDArray[np.float64]) -> Vector:
    """A (3, 3) rotation as a unit quaternion (x, y, z, w), w not negative (Shepperd 1978: the largest part first)."""
    trace = float(np.trace(axes))
    squares = np.array([1 + 2 * axes[i, i] - trace for i in range(3)] + [1 + trace])
    largest = int(np.argmax(squares))
    q = np.empty(4)
    if largest == 3:
        q[:3] = axes[2, 1] - axes[1, 2], axes[0, 2] - axes[2, 0], axes[1, 0] - axes[0, 1]
        q[3] = squares[3]
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        q[i] = squares[i]
        q[j], q[k] = axes[j, i] + axes[i, j], axes[k, i] + axes[i, k]
        q[3] = axes[k, j] - axes[j, k]
    q /= np.linalg.norm(q)
    return np.asarray(-q if q[3] < 0 else q)


def _least_spread(cloud: NDArray[np.float64]) -> Vector:
    """Unit vector along which points spread least, towards the camera."""
    middle = cloud.mean(axis=0)
    direction = np.linalg.eigh((cloud - middle).T @ (cloud - middle))[1][:, 0]
    return np.asarray(-direction if direction @ middle > 0 else direction)


def _rectangle_angle(flat: NDArray[np.float64]) -> float:
    """Angle of the rectangle of least area around (N, 2) points, radians."""
    low, high = np.percentile(flat, [_TRIM, 100 - _TRIM], axis=0)
    kept = flat[np.all((flat >= low) & (flat <= high), axis=1)]
    if len(kept) < 3:
        return 0.0
    # Float32 has 24 bits: use millimetres from the object's middle, not metres from the camera.
    outline = ((kept - kept.mean(axis=0)) * 1000).astype(np.float32)
    return float(np.radians(cv2.minAreaRect(outline)[2]))
