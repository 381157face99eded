"""Triangle meshes made in code: turned profiles, lofted sections, boxes and flat plates.

Everything the simulator shows is built from these four. A mesh carries its own normals and texture coordinates, so that
edges stay crisp, round things stay round and patterns wrap around them.

All lengths are metres; z is up; triangles are counter-clockwise seen from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Two neighbouring faces of a turned profile that meet at a wider angle than this form an edge, not a curve.
_CREASE = np.cos(np.radians(40.0))


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: (N, 3) positions in metres.
        normals: (N, 3) unit normals.
        uv: (N, 2) texture coordinates, 0..1 over one turn or one side.
        faces: (M, 3) int32 indices of vertices.
    """

    vertices: Array
    normals: Array
    uv: Array
    faces: NDArray[np.int32]

    def scaled(self, factor: float) -> Mesh:
        """The mesh, larger by `factor` about its origin."""
        return Mesh(self.vertices * factor, self.normals, self.uv, self.faces)

    def moved(self, offset: Sequence[float]) -> Mesh:
        """The mesh, shifted by `offset` (x, y, z)."""
        return Mesh(self.vertices + np.asarray(offset, dtype=np.float64), self.normals, self.uv, self.faces)

    def tiled(self, repeat: Sequence[float]) -> Mesh:
        """The mesh with its picture repeated (across, along)."""
        return Mesh(self.vertices, self.normals, self.uv * np.asarray(repeat, dtype=np.float64), self.faces)


def joined(*meshes: Mesh) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]).astype(np.int32),
    )


def turned(profile: ArrayLike, segments: int = 48) -> Mesh:
    """A profile turned about the z axis, as on a lathe.

    Args:
        profile: (K, 2) points (radius, z). Going up makes the outside; a hollow thing goes on down its inner wall.
        segments: Sides of the circle.
    """
    points = np.asarray(profile, dtype=np.float64)
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    flat = np.stack([steps[:, 1], -steps[:, 0]], axis=1) / lengths[:, None]
    along = np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()
    angle = np.linspace(0.0, 2.0 * np.pi, segments + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)

    bands = []
    for i, normal in enumerate(flat):
        before = normal + flat[i - 1] if i > 0 and normal @ flat[i - 1] > _CREASE else normal
        after = normal + flat[i + 1] if i + 1 < len(flat) and normal @ flat[i + 1] > _CREASE else normal
        rings = [
            _ring(points[end], slope / np.linalg.norm(slope), along[end], circle)
            for end, slope in ((i, before), (i + 1, after))
        ]
        grid = [np.stack(pair) for pair in zip(*rings, strict=True)]
        bands.append(_grid(*grid))
    return joined(*bands)


def _ring(point: Array, normal: Array, along: float, circle: Array) -> tuple[Array, Array, Array]:
    """Positions, normals and texture coordinates of one profile point carried around the axis."""
    turns = np.linspace(0.0, 1.0, len(circle))
    position = np.column_stack([point[0] * circle, np.full(len(circle), point[1])])
    direction = np.column_stack([normal[0] * circle, np.full(len(circle), normal[1])])
    return position, direction, np.column_stack([turns, np.full(len(circle), along)])


def _grid(vertices: Array, normals: Array, uv: Array) -> Mesh:
    """A mesh of (rows, columns, ...) grids; triangles that are lines (at a pole) are left out."""
    rows, columns = vertices.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.stack([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)]).reshape(-1, 3)
    flat = vertices.reshape(-1, 3)
    edges = flat[faces[:, 1:]] - flat[faces[:, :1]]
    solid = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 1e-12
    return Mesh(flat, normals.reshape(-1, 3), uv.reshape(-1, 2), faces[solid].astype(np.int32))


def lofted(sections: ArrayLike) -> Mesh:
    """A skin over a row of closed sections, with flat lids at both ends.

    Args:
        sections: (S, K, 3) points. Each section runs counter-clockwise seen from the last one, looking at the first.
    """
    points = np.asarray(sections, dtype=np.float64)
    along = np.gradient(points, axis=0)
    around = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    normals = np.cross(around, along)
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    closed = np.concatenate([points, points[:, :1]], axis=1)
    closed_normals = np.concatenate([normals, normals[:, :1]], axis=1)
    u, v = np.meshgrid(np.linspace(0.0, 1.0, closed.shape[1]), np.linspace(0.0, 1.0, closed.shape[0]))
    skin = _grid(closed, closed_normals, np.stack([u, v], axis=-1))
    return joined(skin, _lid(points[0, ::-1]), _lid(points[-1]))


def _lid(ring: Array) -> Mesh:
    """A flat convex face over a counter-clockwise ring of points (K, 3)."""
    normal = np.cross(ring - ring.mean(axis=0), np.roll(ring, -1, axis=0) - ring.mean(axis=0)).sum(axis=0)
    normal /= max(float(np.linalg.norm(normal)), 1e-12)
    low, high = ring.min(axis=0), ring.max(axis=0)
    axes = np.argsort(high - low)[1:]
    axes.sort()
    uv = (ring[:, axes] - low[axes]) / np.maximum(high[axes] - low[axes], 1e-9)
    count = len(ring)
    faces = np.stack([np.zeros(count - 2), np.arange(1, count - 1), np.arange(2, count)], axis=1)
    return Mesh(ring, np.tile(normal, (count, 1)), uv, faces.astype(np.int32))


def tube(path: ArrayLike, radii: ArrayLike, up: Sequence[float], sides: int = 20) -> Mesh:
    """A tube along a path.

    Args:
        path: (S, 3) centres.
        radii: (2,) or (S, 2) half-axes of the elliptical section: across (in the plane of path and `up`), along `up`.
        up: A direction that is nowhere parallel to the path.
        sides: Points of a section.
    """
    centres = np.asarray(path, dtype=np.float64)
    half = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(centres), 2))
    forward = np.gradient(centres, axis=0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    side = np.cross(forward, np.asarray(up, dtype=np.float64))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    over = np.cross(side, forward)
    angle = np.linspace(0.0, 2.0 * np.pi, sides, endpoint=False)
    rings = (
        centres[:, None]
        + np.cos(angle)[None, :, None] * (side * half[:, :1])[:, None]
        - np.sin(angle)[None, :, None] * (over * half[:, 1:])[:, None]
    )
    return lofted(rings)


def block(size: Sequence[float]) -> Mesh:
    """A box with six flat faces, standing on z = 0. `size` is (x, y, z)."""
    half_x, half_y, height = size[0] / 2.0, size[1] / 2.0, size[2]
    base = np.array([[-half_x, -half_y], [half_x, -half_y], [half_x, half_y], [-half_x, half_y]])
    return plate(base, height)


def plate(outline: ArrayLike, height: float) -> Mesh:
    """A flat convex plate (a disc, a square, a triangle, a sheet), standing on z = 0.

    Args:
        outline: (K, 2) counter-clockwise corners.
        height: Thickness.
    """
    corners = np.asarray(outline, dtype=np.float64)
    bottom = np.column_stack([corners, np.zeros(len(corners))])
    top = np.column_stack([corners, np.full(len(corners), height)])
    sides = [
        _lid(np.stack([bottom[i], bottom[j], top[j], top[i]]))
        for i, j in zip(range(len(corners)), np.roll(range(len(corners)), -1), strict=True)
    ]
    return joined(_lid(top), _lid(bottom[::-1]), *sides)


def polygon(corners: int, radius: float, turn: float = 0.0) -> Array:
    """(corners, 2) points of a regular polygon about the origin, counter-clockwise."""
    angle = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False) + turn
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
