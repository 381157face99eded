"""Where to look next for what is not in view: past an edge where the table goes on, or behind what hides most of it.

    hint = elsewhere(depth, camera)                # or None
    hint = elsewhere(depth, camera, after=hint)    # it was followed, and the thing was not there either

Things stand on something. So the plane that they stand on is looked for, and two kinds of places on it that can't be
seen: what lies past an edge of the picture (taken to be as much as the strip along that edge shows), and what lies
behind things. The one with the largest area is the hint. It remembers the others and where the camera has looked: along
a chain of hints nothing is looked at twice, and what was left aside is come back to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.pose3d.depth import Depth
from rsagent_ros.pose3d.support import Plane, Vector, largest_plane

STEP = 0.7
"""Part of the field of view by which to turn past an edge: the rest is seen again, so that nothing falls between."""

_WIDTH = 160
_LEAST_SHARE = 0.15
"""Of the points must lie on a plane."""

_UPRIGHT = 0.3
"""Least cosine between the plane's normal and the picture's up: a wall is nothing that things stand on."""

_SAME_HEIGHT = 0.15
"""Difference, relative to the camera's height above the plane, up to which it is the plane of the hint before."""

_LEAST_AREA = 0.01
"""Square metres that must be unseen for a look to be worth it."""

_FAR = 4.0
"""Metres up to which a plane is believed to go on."""

_HEIGHT = 0.015
"""Metres above the plane from which on something stands on it."""

_SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class Turn:
    """A view that could be had by turning: yaw and pitch in radians, right and up positive, and m2 to be seen there."""

    yaw: float
    pitch: float
    area: float


@dataclass(frozen=True, eq=False)
class Hint:
    """Where to look.

    Attributes:
        direction: (3,) of length 1, in the optical frame (x right, y down, z forward): turn towards it, or, where
            something hides what is there, look past that from elsewhere.
        turn: The same as angles, and what there may be to see.
        hidden_by: (H, W) bool: what hides it; None where an edge of the picture does.
        rest: What else could be looked at, from the view that the hint was made in.
        seen: Views until then, that one included, likewise.
        height: Metres of the camera above the plane.
    """

    direction: Vector
    turn: Turn
    hidden_by: Mask | None
    rest: tuple[Turn, ...]
    seen: tuple[Turn, ...]
    height: float


def elsewhere(depth: Depth, camera: PinholeCamera, after: Hint | None = None) -> Hint | None:
    """Say where to look next.

    Args:
        depth: (H, W) float32 metres, NaN where unknown.
        camera: Its pinhole.
        after: The hint that was followed to come to this view, by turning the camera in its place. None for the first,
            and where the camera has moved, as it does to look behind something.

    Returns:
        The hint; None where nothing that could be seen is out of sight.
    """
    scale = min(1.0, _WIDTH / camera.width)
    size = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    small = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
    rays = _rays(camera, size)
    known = np.isfinite(small) & (small > 0)
    points = rays * np.where(known, small, 0.0)[..., None]
    plane = _support(points[known].astype(np.float32), None if after is None else after.height)
    turns: list[Turn] = []
    behind: list[tuple[Turn, Mask]] = []
    seen = [Turn(0.0, 0.0, 0.0)]
    field = 2 * float(np.arctan(camera.width / 2 / camera.fx)), 2 * float(np.arctan(camera.height / 2 / camera.fy))
    if plane is not None:
        sight = _Sight(rays, points, known, plane, camera)
        turns += _past_edges(sight, field)
        behind += _behind_things(sight)
    if after is not None:
        turns += [_turned(one, after.turn) for one in after.rest]
        seen += [_turned(one, after.turn) for one in after.seen]
    turns = [replace(one, area=one.area * _news(one, seen, field)) for one in turns]
    turns = [one for one in turns if one.area >= _LEAST_AREA]
    if not turns and not behind:
        return None
    choices: list[tuple[Turn, Mask | None]] = [*((one, None) for one in turns), *behind]
    best, hidden_by = max(choices, key=lambda choice: choice[0].area)
    height = -plane.offset if plane is not None else after.height if after is not None else 0.0
    rest = tuple(one for one in turns if one is not best)
    return Hint(_direction(best), best, hidden_by, rest, tuple(seen), height)


def _support(cloud: NDArray[np.float32], height: float | None) -> Plane | None:
    """The plane that things stand on: of those that face up, the one nearest to the camera; at a height, if given."""
    found: list[Plane] = []
    left, least = cloud, _LEAST_SHARE * len(cloud)
    while len(left) > least and len(found) < 3:
        plane = largest_plane(left, least / len(left))
        if plane is None:
            break
        left = left[np.abs(plane.height(left)) > 2 * _HEIGHT]
        if -plane.normal[1] > _UPRIGHT and (height is None or abs(-plane.offset - height) < _SAME_HEIGHT * height):
            found.append(plane)
    return max(found, key=lambda plane: plane.offset, default=None)


@dataclass(frozen=True, eq=False)
class _Sight:
    """A small picture: (h, w, 3) rays with z = 1 and points in metres, (h, w) where they are known, and the plane."""

    rays: NDArray[np.float64]
    points: NDArray[np.float64]
    known: Mask
    plane: Plane
    camera: PinholeCamera

    @property
    def heights(self) -> NDArray[np.float64]:
        """(h, w) metres above the plane; NaN where unknown."""
        return np.where(self.known, self.points @ self.plane.normal - self.plane.offset, np.nan)

    @property
    def reach(self) -> NDArray[np.float64]:
        """(h, w) depth at which a pixel's ray meets the plane; infinite where it does not within sight."""
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


def _past_edges(sight: _Sight, field: tuple[float, float]) -> list[Turn]:
    on_plane = np.abs(sight.heights) < _HEIGHT
    areas = np.where(on_plane, sight.areas, 0.0)
    height, width = on_plane.shape
    turns = []
    for across, down in _SIDES:
        # The strip that stands for what comes into sight on the other side of the edge.
        deep = max(1, round(STEP * (width if across else height)))
        near_edge = slice(0, deep) if across + down < 0 else slice(-deep, None)
        strip = areas[:, near_edge] if across else areas[near_edge]
        last = 0 if across + down < 0 else -1
        # Where the plane ends before the edge, it does not go on past it.
        goes_on = float((on_plane[:, last] if across else on_plane[last]).mean())
        turns.append(Turn(STEP * field[0] * across, -STEP * field[1] * down, float(strip.sum()) * goes_on))
    return turns


def _behind_things(sight: _Sight) -> list[tuple[Turn, Mask]]:
    heights = sight.heights
    stands = np.nan_to_num(heights, nan=0.0) > _HEIGHT
    hidden = np.where(stands & _within(np.abs(heights) < _HEIGHT), sight.areas, 0.0)
    count, labels = cv2.connectedComponents(stands.astype(np.uint8))
    found = []
    for label in range(1, count):
        thing = labels == label
        area = float(hidden[thing].sum())
        if area >= _LEAST_AREA:
            x, y, z = (sight.rays * hidden[..., None])[thing].sum(axis=0)
            size = (sight.camera.width, sight.camera.height)
            whole = cv2.resize(thing.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
            turn = Turn(float(np.arctan2(x, z)), float(np.arctan2(-y, np.hypot(x, z))), area)
            found.append((turn, np.asarray(whole)))
    return found


def _within(on_plane: Mask) -> Mask:
    """(h, w) bool: inside of the outline of all that is on the plane; a wall behind a thing is not."""
    spots = cv2.findNonZero(on_plane.astype(np.uint8))
    filled = np.zeros(on_plane.shape, np.uint8)
    if spots is not None:
        cv2.fillConvexPoly(filled, cv2.convexHull(spots), 1)
    return filled > 0


def _news(turn: Turn, seen: Sequence[Turn], field: tuple[float, float]) -> float:
    """Share of a view that was not seen before, 0..1."""
    overlaps = (
        max(0.0, 1 - abs(turn.yaw - one.yaw) / field[0]) * max(0.0, 1 - abs(turn.pitch - one.pitch) / field[1])
        for one in seen
    )
    return max(0.0, 1 - sum(overlaps))


def _turned(turn: Turn, by: Turn) -> Turn:
    """A view as it is from where the camera has turned to."""
    return replace(turn, yaw=turn.yaw - by.yaw, pitch=turn.pitch - by.pitch)


def _rays(camera: PinholeCamera, size: tuple[int, int]) -> NDArray[np.float64]:
    """(h, w, 3) rays with z = 1 through the middles of the pixels of a smaller picture."""
    width, height = size
    x = ((np.arange(width) + 0.5) * camera.width / width - 0.5 - camera.cx) / camera.fx
    y = ((np.arange(height) + 0.5) * camera.height / height - 0.5 - camera.cy) / camera.fy
    across, down = np.meshgrid(x, y)
    return np.stack([across, down, np.ones_like(across)], axis=-1)


def _direction(turn: Turn) -> Vector:
    across = np.cos(turn.pitch)
    return np.array([np.sin(turn.yaw) * across, -np.sin(turn.pitch), np.cos(turn.yaw) * across])
