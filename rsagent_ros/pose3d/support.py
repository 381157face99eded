"""What a thing stands on: the plane around it, if there is one. It gives the box an upright and a bottom."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.pose3d.surface import Points

Vector = NDArray[np.float64]

_NEAR, _FAR = 5, 25
"""Pixels from the mask between which its surroundings are looked at."""

_TRIES = 60
_THICK = 0.008
"""Distance from a plane up to which points are on it, relative to their depth."""

_SHARE = 0.5
"""Least share of the surroundings on one plane for it to count as what the thing stands on."""

_ABOVE = 0.7
"""Least share of the thing that must be on the camera's side of it."""

_GAP = 0.6
"""Most distance between a plane and the lowest points of what stands on it, relative to its height above it: a wall
behind a thing is no support."""

_MOST = 1500


@dataclass(frozen=True, eq=False)
class Plane:
    """All x with normal . x = offset.

    Attributes:
        normal: (3,) of length 1, towards the camera.
        offset: Metres.
        noise: Median distance of its own points from it, metres.
    """

    normal: Vector
    offset: float
    noise: float

    def height(self, points: Points) -> NDArray[np.float64]:
        """(N,) metres above the plane."""
        return np.asarray(points.astype(np.float64) @ self.normal - self.offset)


def ring(mask: Mask) -> Mask:
    """(h, w) bool: what is around a mask, at a little distance."""
    grown = [
        cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) for reach in (_NEAR, _FAR)
    ]
    return np.asarray((grown[1] > 0) & (grown[0] == 0))


def support_plane(around: Points, thing: Points) -> Plane | None:
    """The plane that most of the surroundings lie on, with the thing on the camera's side of it.

    Args:
        around: (N, 3) points around the thing.
        thing: (M, 3) points of the thing.
    """
    plane = largest_plane(around, _SHARE)
    if plane is None:
        return None
    thick = _THICK * float(np.median(around[:, 2]))
    heights = plane.height(thing)
    low, high = np.percentile(heights, [2, 98])
    stands = low < max(thick, _GAP * high) and np.mean(heights > -thick) >= _ABOVE
    return plane if stands else None


def largest_plane(cloud: Points, share: float) -> Plane | None:
    """The plane that most of the (N, 3) points lie on; None where that is less than this share of them.

    RANSAC (Fischler and Bolles, 1981), then least squares over what agrees. The same points give the same plane.
    """
    if len(cloud) < 50:
        return None
    rng = np.random.default_rng(0)
    points = cloud[rng.permutation(len(cloud))[:_MOST]].astype(np.float64)
    thick = _THICK * float(np.median(points[:, 2]))
    corners = points[rng.integers(0, len(points), (_TRIES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    offsets = np.sum(normals * corners[lengths > 1e-9, 0], axis=1)
    if len(normals) == 0:
        return None
    agreeing = np.abs(points @ normals.T - offsets) < thick
    inliers = points[agreeing[:, int(np.argmax(agreeing.sum(axis=0)))]]
    if len(inliers) < share * len(points):
        return None
    middle = inliers.mean(axis=0)
    normal = np.linalg.svd(inliers - middle, full_matrices=False)[2][2]
    # The camera is at the origin, on the side where offset is negative.
    normal = -normal if normal @ middle > 0 else normal
    offset = float(normal @ middle)
    return Plane(normal, offset, float(np.median(np.abs(inliers @ normal - offset))))
