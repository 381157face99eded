"""Support plane: what an object stands on, if its surroundings show one. It gives the box its up axis and bottom."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.pose3d.surface import Points

Vector = NDArray[np.float64]

_NEAR, _FAR = 5, 25
"""Inner and outer distance from the mask, pixels, of the ring that counts as its surroundings."""

_TRIES = 60
_THICK = 0.008
"""Largest distance from a plane at which points count as on it, relative to their depth."""

_SHARE = 0.5
"""Smallest share of the surroundings that must lie on the support plane."""

_ABOVE = 0.7
"""Smallest share of the object that must be on the camera's side of it."""

_GAP = 0.6
"""Largest distance between a plane and the object's lowest points, relative to the object's height above it: a wall
behind an object is no support."""

_MOST = 1500


@dataclass(frozen=True, eq=False)
class Plane:
    """Plane of all x with normal . x = offset.

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
    """(h, w) bool: the surroundings of a mask, at a small distance."""
    grown = [
        cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) for reach in (_NEAR, _FAR)
    ]
    return np.asarray((grown[1] > 0) & (grown[0] == 0))


def support_plane(surroundings: Points, points: Points) -> Plane | None:
    """The plane that most of the surroundings lie on, with the object on the camera's side of it; None if none is.

    Args:
        surroundings: (N, 3) points around the object.
        points: (M, 3) points of the object.
    """
    plane = largest_plane(surroundings, _SHARE)
    if plane is None:
        return None
    thick = _THICK * float(np.median(surroundings[:, 2]))
    heights = plane.height(points)
    low, high = np.percentile(heights, [2, 98])
    stands = low < max(thick, _GAP * high) and np.mean(heights > -thick) >= _ABOVE
    return plane if stands else None


def largest_plane(cloud: Points, share: float) -> Plane | None:
    """The plane that most of the (N, 3) points lie on; None if that is less than this share of them.

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
