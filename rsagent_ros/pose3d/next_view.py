"""Next best view: where to point the camera for a target that is not in view.

    view = next_view(depth, camera)                # or None
    view = next_view(depth, camera, after=view)    # the camera turned there, and the target was not there either

Objects stand on something, so their support plane is fitted, and two kinds of unseen area on it are measured: what
lies past an edge of the image (assumed as large as the strip along that edge), and what lies behind objects. The view
of the largest area is returned, with the other options and the views so far: along a chain no view is repeated, and an
option that was passed over is returned to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.pose3d.support import Plane, Vector, largest_plane
from rsagent_ros.pose3d.surface import Depth

STEP = 0.7
"""Pan or tilt past an edge, as a share of the field of view: the views overlap, so that nothing falls between."""

_WIDTH = 160
"""Pixels that the depth image is reduced to."""

_LEAST_SHARE = 0.15
"""Smallest share of the points that must lie on a plane."""

_UPRIGHT = 0.3
"""Smallest cosine between a plane's normal and the image's up axis: a wall supports nothing."""

_SAME_HEIGHT = 0.15
"""Largest difference from the last camera height, relative to it, at which a plane counts as the same one."""

_LEAST_AREA = 0.01
"""Smallest unseen area worth a view, square metres."""

_FAR = 4.0
"""Depth up to which a plane is assumed to continue, metres."""

_HEIGHT = 0.015
"""Height above the plane from which on points belong to an object, metres."""

_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class PanTilt:
    """PinholeCamera rotation to another view.

    Attributes:
        pan: Radians, right is positive.
        tilt: Radians, up is positive.
        area: Square metres of the support plane that may come into view.
    """

    pan: float
    tilt: float
    area: float


@dataclass(frozen=True, eq=False)
class NextView:
    """Recommended view, with what the next call needs to go on from it.

    Attributes:
        direction: (3,) unit vector in the optical frame (x right, y down, z forward): turn towards it or, with
            `hidden_by`, move to look behind that.
        pan_tilt: The same as angles.
        hidden_by: (H, W) bool: the object that hides the area; None for an area past an edge of the image.
        alternatives: Other views with unseen area, relative to the present one.
        visited: Views so far with the present one, relative to it.
        camera_height: Metres above the support plane.
    """

    direction: Vector
    pan_tilt: PanTilt
    hidden_by: Mask | None
    alternatives: tuple[PanTilt, ...]
    visited: tuple[PanTilt, ...]
    camera_height: float


def next_view(depth: Depth, camera: PinholeCamera, after: NextView | None = None) -> NextView | None:
    """Recommend where to look next.

    Args:
        depth: (H, W) float32 metres, NaN where unknown.
        camera: Its pinhole.
        after: The view that was taken to get here, by turning the camera in its place. None for the first, and after
            the camera has moved, as it does to look behind something.

    Returns:
        The view; None where the camera has seen all that it could.
    """
    cloud = _OrganizedCloud.reduced(depth, camera, None if after is None else after.camera_height)
    field = 2 * float(np.arctan(camera.width / 2 / camera.fx)), 2 * float(np.arctan(camera.height / 2 / camera.fy))
    views = [] if cloud is None else _past_edges(cloud, field)
    hidden = [] if cloud is None else _behind_objects(cloud)
    visited = [PanTilt(0.0, 0.0, 0.0)]
    if after is not None:
        views += [_relative(view, after.pan_tilt) for view in after.alternatives]
        visited += [_relative(view, after.pan_tilt) for view in after.visited]
    views = [replace(view, area=view.area * _unseen(view, visited, field)) for view in views]
    views = [view for view in views if view.area >= _LEAST_AREA]
    if not views and not hidden:
        return None
    options: list[tuple[PanTilt, Mask | None]] = [*((view, None) for view in views), *hidden]
    best, hidden_by = max(options, key=lambda option: option[0].area)
    height = -cloud.plane.offset if cloud is not None else after.camera_height if after is not None else 0.0
    alternatives = tuple(view for view in views if view is not best)
    return NextView(_direction(best), best, hidden_by, alternatives, tuple(visited), height)


def _support_plane(points: NDArray[np.float32], height: float | None) -> Plane | None:
    """The plane that objects stand on: of those that face up, the nearest; at this camera height, if given."""
    found: list[Plane] = []
    left, least = points, _LEAST_SHARE * len(points)
    while len(left) > least and len(found) < 3:
        plane = largest_plane(left, least / len(left))
        if plane is None:
            break
        left = left[np.abs(plane.height(left)) > 2 * _HEIGHT]
        if -plane.normal[1] > _UPRIGHT and (height is None or abs(-plane.offset - height) < _SAME_HEIGHT * height):
            found.append(plane)
    return max(found, key=lambda plane: plane.offset, default=None)


@dataclass(frozen=True, eq=False)
class _OrganizedCloud:
    """Depth image of reduced size as points, with the support plane in it.

    Attributes:
        rays: (h, w, 3) with z = 1.
        points: (h, w, 3) metres.
        known: (h, w) bool.
        plane: Support plane.
        camera: Pinhole of the full size.
    """

    rays: NDArray[np.float64]
    points: NDArray[np.float64]
    known: Mask
    plane: Plane
    camera: PinholeCamera

    @staticmethod
    def reduced(depth: Depth, camera: PinholeCamera, camera_height: float | None) -> _OrganizedCloud | None:
        """Reduce (H, W) metres; None where no support plane is seen."""
        scale = min(1.0, _WIDTH / camera.width)
        size = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
        small = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
        rays = _rays(camera, size)
        known = np.isfinite(small) & (small > 0)
        points = rays * np.where(known, small, 0.0)[..., None]
        plane = _support_plane(points[known].astype(np.float32), camera_height)
        return None if plane is None else _OrganizedCloud(rays, points, known, plane, camera)

    @property
    def heights(self) -> NDArray[np.float64]:
        """(h, w) metres above the plane; NaN where unknown."""
        return np.where(self.known, self.points @ self.plane.normal - self.plane.offset, np.nan)

    @property
    def reach(self) -> NDArray[np.float64]:
        """(h, w) depth at which a pixel's ray meets the plane, metres; infinite where it does not within _FAR."""
        slope = self.rays @ self.plane.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(slope < -1e-6, self.plane.offset / slope, np.inf)
        return np.where((z > 0) & (z < _FAR), z, np.inf)

    @property
    def areas(self) -> NDArray[np.float64]:
        """(h, w) square metres of the plane that a pixel covers."""
        z, slope = self.reach, -(self.rays @ self.plane.normal)
        height, width = z.shape
        pixel = (self.camera.width / width / self.camera.fx) * (self.camera.height / height / self.camera.fy)
        return np.where(np.isfinite(z), z**2 * pixel / np.maximum(slope, 0.05), 0.0)


def _past_edges(cloud: _OrganizedCloud, field: tuple[float, float]) -> list[PanTilt]:
    """Views past the four edges of the image."""
    on_plane = np.abs(cloud.heights) < _HEIGHT
    areas = np.where(on_plane, cloud.areas, 0.0)
    height, width = on_plane.shape
    views = []
    for across, down in _SIDES:
        # The strip inside the edge stands for what comes into view beyond it.
        deep = max(1, round(STEP * (width if across else height)))
        near_edge = slice(0, deep) if across + down < 0 else slice(-deep, None)
        strip = areas[:, near_edge] if across else areas[near_edge]
        last = 0 if across + down < 0 else -1
        # A plane that ends before the edge does not continue past it.
        goes_on = float((on_plane[:, last] if across else on_plane[last]).mean())
        views.append(PanTilt(STEP * field[0] * across, -STEP * field[1] * down, float(strip.sum()) * goes_on))
    return views


def _behind_objects(cloud: _OrganizedCloud) -> list[tuple[PanTilt, Mask]]:
    """Views behind objects, each with the (H, W) mask of its object."""
    heights = cloud.heights
    stands = np.nan_to_num(heights, nan=0.0) > _HEIGHT
    hidden = np.where(stands & _within(np.abs(heights) < _HEIGHT), cloud.areas, 0.0)
    count, labels = cv2.connectedComponents(stands.astype(np.uint8))
    found = []
    for label in range(1, count):
        part = labels == label
        area = float(hidden[part].sum())
        if area >= _LEAST_AREA:
            x, y, z = (cloud.rays * hidden[..., None])[part].sum(axis=0)
            size = (cloud.camera.width, cloud.camera.height)
            whole = cv2.resize(part.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
            view = PanTilt(float(np.arctan2(x, z)), float(np.arctan2(-y, np.hypot(x, z))), area)
            found.append((view, np.asarray(whole)))
    return found


def _within(on_plane: Mask) -> Mask:
    """(h, w) bool: the convex hull of all that is on the plane; a wall behind an object is outside."""
    spots = cv2.findNonZero(on_plane.astype(np.uint8))
    filled = np.zeros(on_plane.shape, np.uint8)
    if spots is not None:
        cv2.fillConvexPoly(filled, cv2.convexHull(spots), 1)
    return filled > 0


def _unseen(view: PanTilt, visited: Sequence[PanTilt], field: tuple[float, float]) -> float:
    """Share of a view that no visited one has shown, 0..1."""
    overlaps = (
        max(0.0, 1 - abs(view.pan - one.pan) / field[0]) * max(0.0, 1 - abs(view.tilt - one.tilt) / field[1])
        for one in visited
    )
    return max(0.0, 1 - sum(overlaps))


def _relative(view: PanTilt, turned: PanTilt) -> PanTilt:
    """A view relative to the camera after it has turned."""
    return replace(view, pan=view.pan - turned.pan, tilt=view.tilt - turned.tilt)


def _rays(camera: PinholeCamera, size: tuple[int, int]) -> NDArray[np.float64]:
    """(h, w, 3) rays with z = 1 through the pixel centres of a smaller image."""
    width, height = size
    x = ((np.arange(width) + 0.5) * camera.width / width - 0.5 - camera.cx) / camera.fx
    y = ((np.arange(height) + 0.5) * camera.height / height - 0.5 - camera.cy) / camera.fy
    across, down = np.meshgrid(x, y)
    return np.stack([across, down, np.ones_like(across)], axis=-1)


def _direction(view: PanTilt) -> Vector:
    """(3,) unit vector of a view."""
    across = np.cos(view.tilt)
    return np.array([np.sin(view.pan) * across, -np.sin(view.tilt), np.cos(view.pan) * across])
