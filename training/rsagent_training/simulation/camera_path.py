"""Path of the simulated camera, and the meaning of its pixels: a pinhole that moves smoothly.

The world frame has its origin on the middle of the table top, x to the right of someone sitting at it, y away from
them, z up. The camera's optical frame is that of REP 103: x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsagent_ros.data.camera import PinholeCamera
from rsagent_training.simulation.meshes import Array


@dataclass(frozen=True)
class Sway:
    """A slow oscillation: half-range and period in seconds. It is zero at t = 0."""

    reach: float = 0.0
    period: float = 10.0

    def at(self, t: float) -> float:
        """The deviation at `t` seconds."""
        return self.reach * float(np.sin(2.0 * np.pi * t / self.period))


@dataclass(frozen=True)
class CameraPath:
    """A camera that looks at a point of the table from around it, and moves smoothly with time.

    Attributes:
        target: (x, y, z) in metres that stays in the middle of the picture.
        azimuth: Degrees around the table; 0 is the near side, positive is to the right.
        elevation: Degrees above the table top.
        distance: Metres from the target.
        field_of_view: Vertical, degrees.
        swing, nod, approach: How azimuth, elevation (degrees) and distance (metres) vary with time.
    """

    target: tuple[float, float, float] = (0.0, 0.0, 0.03)
    azimuth: float = 0.0
    elevation: float = 45.0
    distance: float = 1.0
    field_of_view: float = 45.0
    swing: Sway = Sway()
    nod: Sway = Sway()
    approach: Sway = Sway()

    def pose(self, t: float = 0.0) -> Array:
        """(4, 4) transform from the optical frame at `t` seconds to the world frame, metres."""
        azimuth = np.radians(self.azimuth + self.swing.at(t))
        elevation = np.radians(self.elevation + self.nod.at(t))
        outward = np.array(
            [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        right = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        pose = np.eye(4)
        pose[:3, 0] = right
        pose[:3, 1] = np.cross(-outward, right)
        pose[:3, 2] = -outward
        pose[:3, 3] = np.asarray(self.target) + (self.distance + self.approach.at(t)) * outward
        return pose

    def camera(self, width: int, height: int) -> PinholeCamera:
        """Intrinsics for a picture of this size, with pixel centres at whole numbers as in ROS and OpenCV."""
        focal = height / 2.0 / float(np.tan(np.radians(self.field_of_view) / 2.0))
        return PinholeCamera(width, height, focal, focal, (width - 1) / 2.0, (height - 1) / 2.0)


def projected(points: Array, camera: PinholeCamera, pose: Array) -> Array:
    """Pixels (N, 2) as (x, y) of world points (N, 3) that lie in front of the camera."""
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    return np.asarray(local[:, :2] / local[:, 2:] * focal + centre)


def on_table(pixel: tuple[float, float], camera: PinholeCamera, pose: Array) -> Array | None:
    """The point (x, y) of the table top's plane that a pixel shows; None when its ray does not meet the plane."""
    ray = pose[:3, :3] @ [(pixel[0] - camera.cx) / camera.fx, (pixel[1] - camera.cy) / camera.fy, 1.0]
    if ray[2] >= -1e-6:
        return None
    return np.asarray(pose[:2, 3] - ray[:2] * pose[2, 3] / ray[2])
