"""Depth of a drawn table top, the truth of which is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.data.camera import PinholeCamera

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
EYE, DOWN = 0.8, np.radians(50.0)
"""Metres above the table, and how far down the camera looks."""

Table = tuple[float, float, float, float]


def seen(table: Table, yaw: float = 0.0, box: Table | None = None, tall: float = 0.25) -> NDArray[np.float32]:
    """Depth of a table top (x and y from and to, metres; y is away from the camera) on which a box may stand.

    Beyond the table there is nothing.
    """
    u, v = np.meshgrid(np.arange(160), np.arange(120))
    ray = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(u.shape)], axis=-1)
    # Optical frame to the world's: x right, y away, z up; pitched down, then turned.
    right, down, forward = (
        np.eye(3)[0],
        np.array([0, -np.sin(DOWN), -np.cos(DOWN)]),
        np.array([0, np.cos(DOWN), -np.sin(DOWN)]),
    )
    turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    world = ray @ (turn @ np.stack([right, down, forward], axis=1)).T
    depth = np.full(u.shape, np.inf)
    for height, (x0, x1, y0, y1) in [(0.0, table), *([] if box is None else [(tall, box)])]:
        z = (height - EYE) / world[..., 2]
        hit = z[..., None] * world
        on = (z > 0) & (hit[..., 0] > x0) & (hit[..., 0] < x1) & (hit[..., 1] > y0) & (hit[..., 1] < y1)
        depth[on] = np.minimum(depth[on], z[on])
    if box is not None:  # its front, which faces the camera
        x0, x1, y0, _ = box
        z = y0 / world[..., 1]
        hit = z[..., None] * world
        on = (hit[..., 0] > x0) & (hit[..., 0] < x1) & (hit[..., 2] + EYE > 0) & (hit[..., 2] + EYE < tall)
        depth[on] = np.minimum(depth[on], z[on])
    return np.where(np.isfinite(depth), depth, np.nan).astype(np.float32)
