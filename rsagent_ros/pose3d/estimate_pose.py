"""`estimate_pose`: a mask and its aligned depth become a Pose3d, or a NoPose with the reason. A few milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.pose3d.box import fit_box, quaternion
from rsagent_ros.pose3d.support import Vector, ring, support_plane
from rsagent_ros.pose3d.surface import Depth, Points, own_pixels, to_points

_AROUND = 30
"""Margin around the mask, pixels, that is searched for the support plane."""

_SYSTEMATIC = 0.002
"""Relative depth error that all pixels of a good depth camera share: no number of pixels averages it out."""


@dataclass(frozen=True, slots=True)
class Pose3dConfig:
    """Thresholds of `estimate_pose`.

    Attributes:
        min_pixels: Fewest pixels of the object's own surface.
        min_coverage: Smallest share of the mask with known depth, 0..1.
        max_points: Most points that are returned and that the box is fitted to.

    Raises:
        ValueError: A value out of range.
    """

    min_pixels: int = 25
    min_coverage: float = 0.1
    max_points: int = 20_000

    def __post_init__(self) -> None:
        if self.min_pixels < 1 or self.max_points < self.min_pixels:
            raise ValueError(
                f"min_pixels is {self.min_pixels} and max_points {self.max_points}; 1 <= min_pixels <= max_points"
            )
        if not 0.0 <= self.min_coverage <= 1.0:
            raise ValueError(f"min_coverage is {self.min_coverage}; it must be between 0 and 1")


@dataclass(frozen=True, eq=False)
class Pose3d:
    """Pose of an object in the camera's optical frame (x right, y down, z forward), metres.

    Attributes:
        position: (3,) centre of the oriented box.
        orientation: (4,) quaternion x, y, z, w of the box; its z is up where the object stands on something.
        size: (3,) of the box along its axes.
        surface: (3,) mean of the visible surface: on the object, nearer than its centre.
        std: Standard deviation of `surface`, in any direction.
        coverage: Share of the mask with known depth, 0..1.
        on_support: Whether a support plane was found; without one the box is that of the visible surface.
        points: (N, 3) float32, the visible surface.
        colours: (N, 3) uint8 RGB of the points; None where no image was given.
    """

    position: Vector
    orientation: Vector
    size: Vector
    surface: Vector
    std: float
    coverage: float
    on_support: bool
    points: Points
    colours: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class NoPose:
    """Reason why a mask has no pose: too little depth is known.

    Attributes:
        reason: One sentence.
        coverage: Share of the mask with known depth, 0..1.
    """

    reason: str
    coverage: float


def estimate_pose(
    mask: Mask,
    depth: Depth,
    camera: PinholeCamera,
    image: NDArray[np.uint8] | None = None,
    config: Pose3dConfig | None = None,
) -> Pose3d | NoPose:
    """Estimate the pose of the object under a mask.

    Args:
        mask: (H, W) bool.
        depth: (H, W) float32 metres along the optical axis, aligned with the mask; NaN, 0 and infinity are unknown.
        camera: Pinhole of both, without distortion.
        image: (H, W, 3) uint8 RGB, for the colours of the points.
        config: Thresholds; the defaults if None.

    Raises:
        ValueError: Sizes or types do not match. Missing depth is no error but a NoPose.
    """
    config = Pose3dConfig() if config is None else config
    _check(mask, depth, camera, image)
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    if width == 0:
        return NoPose("the mask is empty", 0.0)
    left, top = max(0, x - _AROUND), max(0, y - _AROUND)
    rows, columns = slice(top, y + height + _AROUND), slice(left, x + width + _AROUND)
    part = mask[rows, columns]
    metres = np.where(np.isfinite(depth[rows, columns]) & (depth[rows, columns] > 0), depth[rows, columns], np.nan)
    metres = np.asarray(metres, dtype=np.float32)
    coverage = float(np.count_nonzero(part & np.isfinite(metres)) / np.count_nonzero(part))
    if coverage < config.min_coverage:
        return NoPose(f"{coverage:.0%} of the mask has depth; at least {config.min_coverage:.0%} is needed", coverage)
    own = own_pixels(part, metres)
    if np.count_nonzero(own) < config.min_pixels:
        count = np.count_nonzero(own)
        return NoPose(f"{count} pixels show its surface; at least {config.min_pixels} are needed", coverage)
    points, taken = to_points(own, metres, camera, (left, top), config.max_points)
    surroundings, _ = to_points(ring(part) & np.isfinite(metres), metres, camera, (left, top), 3000)
    support = support_plane(surroundings, points)
    if support is not None:
        # Table that the mask includes is no part of the object, unless the object is as flat as that.
        above = support.height(points) > 3 * support.noise
        if np.count_nonzero(above) >= max(config.min_pixels, len(points) // 2):
            points = points[above]
            taken[taken] = above
    box = fit_box(points, support)
    colours = None if image is None else image[rows, columns][taken]
    return Pose3d(
        box.centre,
        quaternion(box.axes),
        box.size,
        points.astype(np.float64).mean(axis=0),
        _std(points, coverage),
        coverage,
        support is not None,
        points,
        colours,
    )


def _std(points: Points, coverage: float) -> float:
    """Standard deviation of the mean of (N, 3) points, metres: of camera, sample, and the part without depth."""
    spread = float(np.linalg.norm(points.std(axis=0)))
    # Errors of neighbouring pixels are correlated: about one in twenty-five is independent.
    sample = spread / np.sqrt(max(1.0, len(points) / 25))
    # If the missing part were all at one end of the object, the mean would move by about this much.
    missing = (1 - coverage) * spread
    systematic = _SYSTEMATIC * float(points[:, 2].mean())
    return float(np.sqrt(sample**2 + missing**2 + systematic**2))


def _check(mask: Mask, depth: Depth, camera: PinholeCamera, image: NDArray[np.uint8] | None) -> None:
    size = camera.height, camera.width
    shapes = {"mask": mask.shape, "depth": depth.shape} | ({} if image is None else {"image": image.shape[:2]})
    for name, shape in shapes.items():
        if shape != size:
            raise ValueError(
                f"the {name} is {shape}, the camera {size} (height, width); "
                "use depth that is aligned with the colour image, and the camera_info of both"
            )
    if mask.dtype != np.bool_ or depth.dtype != np.float32:
        raise ValueError(f"the mask is {mask.dtype}, the depth {depth.dtype}; bool and float32 metres are needed")
    if not (camera.fx > 0 and camera.fy > 0 and np.isfinite((camera.fx, camera.fy, camera.cx, camera.cy)).all()):
        raise ValueError(f"the camera is {camera}; it is not calibrated: four finite numbers are needed, fx, fy over 0")
