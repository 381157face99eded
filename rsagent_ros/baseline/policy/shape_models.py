"""Outlines that balls, boxes, cylinders, cones and flat drawings can have in a picture, in closed form.

A convex outline is described by its support function: how far it reaches in each of 64 directions. That of an ellipse
is the length of a vector, that of a corner a dot product, and that of several of them together the largest of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DIRECTIONS = 64
_ANGLES = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
RAYS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
"""(2, directions) unit vectors, x right and y down."""

_CLOSEST = 0.08
"""Half the size of an object over its distance, at most: its near parts look that much larger."""


@dataclass(frozen=True)
class ShapeModel:
    """A family of outlines: those of one body from all viewpoints.

    Attributes:
        shape: Name of objects with such an outline.
        freedoms: Count of numbers that choose one of the family: four for the viewpoint, the others for the body.
        lean, lowest, highest: Degrees by which it leans at most, and the range of the camera's elevation over it.
        body: Function from viewpoints and (n, freedoms - 4) numbers in 0..1 to (n, directions) support functions.
        handicap: Added to the distance from these outlines: pixels blunt the corners of boxes, and blunt boxes are more
            like cylinders than they should be.
    """

    shape: str
    freedoms: int
    lean: float
    lowest: float
    highest: float
    body: Callable[[Viewpoints, Array], Array]
    handicap: float = 0.0

    def outlines(self, chosen: Array) -> Array:
        """(n, directions) support functions of the outlines that (n, freedoms) numbers in 0..1 choose."""
        return self.body(Viewpoints(chosen, self.lean, self.lowest, self.highest), chosen[:, 4:])


class Viewpoints:
    """Directions from which n bodies are seen: from above, their z axes point up and lean a little in the picture."""

    def __init__(self, chosen: Array, lean: float, lowest: float, highest: float) -> None:
        """Take the first four numbers: elevation (degrees), turn about z, lean (up to so many degrees), closeness."""
        self.elevation = np.radians(_between(chosen[:, 0], lowest, highest))
        turn, lean_angle = 2 * np.pi * chosen[:, 1], np.radians(_between(chosen[:, 2], -lean, lean))
        sin, cos = np.sin(self.elevation), np.cos(self.elevation)
        # For each body its three axes (rows) as right, down and away from the camera (columns).
        upright = np.array(
            [
                [np.cos(turn), -np.sin(turn) * sin, np.sin(turn) * cos],
                [-np.sin(turn), -np.cos(turn) * sin, np.cos(turn) * cos],
                [np.zeros_like(sin), -cos, -sin],
            ]
        )
        tilt = np.zeros((3, 3, len(chosen)))
        tilt[0, 0] = tilt[1, 1] = np.cos(lean_angle)
        tilt[0, 1], tilt[1, 0] = np.sin(lean_angle), -np.sin(lean_angle)
        tilt[2, 2] = 1.0
        self._axes = np.einsum("ijn,jkn->nik", upright, tilt)
        self._closeness = _CLOSEST * chosen[:, 3]

    def corners(self, points: Array) -> Array:
        """Support functions of the hulls of (n, k, 3) points in the bodies' own axes, or of (k, 3) for all of them."""
        seen = points @ self._axes
        flat = seen[:, :, :2] / (1 + self._closeness[:, None] * seen[:, :, 2])[:, :, None]
        return np.asarray((flat @ RAYS).max(axis=1))

    def disc(self, axis: int = 2, along: Array | float = 0.0) -> Array:
        """Support functions of unit discs across an axis, their centres along it."""
        seen = self._axes[:, axis] * np.reshape(along, (-1, 1))
        across = [other for other in range(3) if other != axis]
        rim = np.hypot(*(self._axes[:, other, :2] @ RAYS for other in across))
        return np.asarray((rim + seen[:, :2] @ RAYS) / (1 + self._closeness * seen[:, 2])[:, None])


def _between(share: Array, low: float, high: float) -> Array:
    return low + (high - low) * share


def _circle(view: Viewpoints, _: Array) -> Array:
    return view.disc()


def _standing_cylinder(view: Viewpoints, free: Array) -> Array:
    half = _between(free[:, 0], 0.6, 3.0)
    return np.maximum(view.disc(2, -half), view.disc(2, half))


def _lying_cylinder(view: Viewpoints, free: Array) -> Array:
    half = _between(free[:, 0], 0.8, 3.0)
    return np.maximum(view.disc(0, -half), view.disc(0, half))


def _cone(view: Viewpoints, free: Array) -> Array:
    # A cone whose tip does not stand out of its base looks like a ball, and is none here.
    height = np.maximum(_between(free[:, 0], 1.5, 4.0), 1.2 * np.tan(view.elevation))
    return np.maximum(view.disc(), view.corners(height[:, None, None] * np.array([0.0, 0.0, 1.0])))


_CUBE = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
_SQUARE = np.array([(-1.0, -1.0, 0.0), (-1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (1.0, -1.0, 0.0)])
_TRIANGLE = np.array([(np.cos(angle), np.sin(angle), 0.0) for angle in np.radians([90, 210, 330])])


def _box(view: Viewpoints, free: Array) -> Array:
    width, height = np.exp(_between(free, -0.8, 0.8)).T
    return view.corners(_CUBE * np.stack([width, np.ones_like(width), height], axis=1)[:, None])


def _square(view: Viewpoints, _: Array) -> Array:
    return view.corners(_SQUARE)


def _rectangle(view: Viewpoints, free: Array) -> Array:
    ratio = _between(free[:, 0], 1.35, 3.0)
    return view.corners(_SQUARE * np.stack([ratio, np.ones_like(ratio), ratio], axis=1)[:, None])


def _triangle(view: Viewpoints, _: Array) -> Array:
    return view.corners(_TRIANGLE)


SHAPE_MODELS = (
    # The rest of a camera's distortion makes a ball a little longer than wide.
    ShapeModel("ball", 4, 90.0, 70.0, 90.0, _circle),
    ShapeModel("disc", 4, 15.0, 12.0, 62.0, _circle),
    ShapeModel("cylinder", 5, 28.0, 5.0, 75.0, _standing_cylinder, handicap=0.003),
    ShapeModel("cylinder", 5, 15.0, 10.0, 85.0, _lying_cylinder, handicap=0.003),
    ShapeModel("cone", 5, 35.0, 5.0, 72.0, _cone),
    ShapeModel("box", 6, 22.0, 8.0, 85.0, _box),
    # Drawings are seen from any elevation, and many of them from about straight ahead.
    ShapeModel("square", 4, 15.0, 15.0, 165.0, _square),
    ShapeModel("rectangle", 5, 15.0, 15.0, 165.0, _rectangle),
    ShapeModel("triangle", 4, 15.0, 15.0, 165.0, _triangle),
)
