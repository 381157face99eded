"""The outlines that simple bodies can have in a picture, in closed form.

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
"""Half the size of a thing over its distance, at most: what is nearer to the camera looks that much larger."""


@dataclass(frozen=True)
class Body:
    """A family of outlines.

    Attributes:
        shape: What things of such an outline are called.
        freedoms: Numbers that choose one of the family.
        outlines: From (n, freedoms) numbers in 0..1 to (n, directions) support functions.
        handicap: Added to the distance from these outlines: pixels blunt the corners of boxes, and blunt boxes are more
            like cylinders than they should be.
    """

    shape: str
    freedoms: int
    outlines: Callable[[Array], Array]
    handicap: float = 0.0


class _View:
    """How n bodies are seen: the camera looks down on them, their z axes point up and lean a little in the picture."""

    def __init__(self, chosen: Array, lean: float, lowest: float, highest: float) -> None:
        """Takes the first four numbers: elevation (degrees), turn about z, lean (up to so many degrees), closeness."""
        elevation = np.radians(_between(chosen[:, 0], lowest, highest))
        turn, lean_angle = 2 * np.pi * chosen[:, 1], np.radians(_between(chosen[:, 2], -lean, lean))
        sin, cos = np.sin(elevation), np.cos(elevation)
        # For each body its three axes (rows) as right, down and away from the camera (columns).
        upright = np.stack(
            [
                np.stack([np.cos(turn), -np.sin(turn) * sin, np.sin(turn) * cos], axis=1),
                np.stack([-np.sin(turn), -np.cos(turn) * sin, np.cos(turn) * cos], axis=1),
                np.stack([np.zeros_like(sin), -cos, -sin], axis=1),
            ],
            axis=1,
        )
        tilt = np.zeros((len(chosen), 3, 3))
        tilt[:, 0, 0] = tilt[:, 1, 1] = np.cos(lean_angle)
        tilt[:, 0, 1], tilt[:, 1, 0] = np.sin(lean_angle), -np.sin(lean_angle)
        tilt[:, 2, 2] = 1.0
        self.axes = upright @ tilt
        self.elevation = elevation
        self._closeness = _CLOSEST * chosen[:, 3]

    def corners(self, points: Array) -> Array:
        """Support functions of the hulls of (n, k, 3) points in the bodies' own axes."""
        seen = points @ self.axes
        flat = seen[:, :, :2] / (1 + self._closeness[:, None] * seen[:, :, 2])[:, :, None]
        return np.asarray((flat @ RAYS).max(axis=1))

    def disc(self, centre: Array, first: int, second: int) -> Array:
        """Support functions of unit discs around (n, 3) points, spanned by two axes."""
        seen = (centre[:, None] @ self.axes)[:, 0]
        size = 1 / (1 + self._closeness * seen[:, 2])
        rim = np.hypot(self.axes[:, first, :2] @ RAYS, self.axes[:, second, :2] @ RAYS)
        return (rim + seen[:, :2] @ RAYS) * size[:, None]


def _between(share: Array, low: float, high: float) -> Array:
    return low + (high - low) * share


def _along(axis: int, lengths: Array) -> Array:
    """(n, 3) points on an axis."""
    points = np.zeros((len(lengths), 3))
    points[:, axis] = lengths
    return points


def _ball(chosen: Array) -> Array:
    # What is left of a camera's distortion makes a ball a little longer than wide.
    view = _View(chosen, 90.0, 70.0, 90.0)
    return view.disc(_along(2, np.zeros(len(chosen))), 0, 1)


def _disc(chosen: Array) -> Array:
    view = _View(chosen, 15.0, 12.0, 62.0)
    return view.disc(_along(2, np.zeros(len(chosen))), 0, 1)


def _standing_cylinder(chosen: Array) -> Array:
    view = _View(chosen, 28.0, 5.0, 75.0)
    half = _between(chosen[:, 4], 0.6, 3.0)
    return np.maximum(view.disc(_along(2, -half), 0, 1), view.disc(_along(2, half), 0, 1))


def _lying_cylinder(chosen: Array) -> Array:
    view = _View(chosen, 15.0, 10.0, 85.0)
    half = _between(chosen[:, 4], 0.8, 3.0)
    return np.maximum(view.disc(_along(0, -half), 1, 2), view.disc(_along(0, half), 1, 2))


def _cone(chosen: Array) -> Array:
    view = _View(chosen, 35.0, 5.0, 72.0)
    # A cone whose tip does not stand out of its base looks like a ball, and is none here.
    height = np.maximum(_between(chosen[:, 4], 1.5, 4.0), 1.2 * np.tan(view.elevation))
    return np.maximum(view.disc(_along(2, np.zeros_like(height)), 0, 1), view.corners(_along(2, height)[:, None]))


_CUBE = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
_SQUARE = np.array([(-1.0, -1.0, 0.0), (-1.0, 1.0, 0.0), (1.0, 1.0, 0.0), (1.0, -1.0, 0.0)])
_TRIANGLE = np.array([(np.cos(angle), np.sin(angle), 0.0) for angle in np.radians([90, 210, 330])])


def _box(chosen: Array) -> Array:
    view = _View(chosen, 22.0, 8.0, 85.0)
    width, height = np.exp(_between(chosen[:, 4:6], -0.8, 0.8)).T
    return view.corners(_CUBE * np.stack([width, np.ones_like(width), height], axis=1)[:, None])


def _drawing(chosen: Array, corners: Array) -> Array:
    # Drawings are seen from any elevation, and many of them from about straight ahead.
    return _View(chosen, 15.0, 15.0, 165.0).corners(np.broadcast_to(corners, (len(chosen), *corners.shape[-2:])))


def _square(chosen: Array) -> Array:
    return _drawing(chosen, _SQUARE)


def _rectangle(chosen: Array) -> Array:
    ratio = _between(chosen[:, 4], 1.35, 3.0)
    return _drawing(chosen, _SQUARE * np.stack([ratio, np.ones_like(ratio), ratio], axis=1)[:, None])


def _triangle(chosen: Array) -> Array:
    return _drawing(chosen, _TRIANGLE)


BODIES = (
    Body("ball", 4, _ball),
    Body("disc", 4, _disc),
    Body("cylinder", 5, _standing_cylinder, handicap=0.003),
    Body("cylinder", 5, _lying_cylinder, handicap=0.003),
    Body("cone", 5, _cone),
    Body("box", 6, _box),
    Body("square", 4, _square),
    Body("rectangle", 5, _rectangle),
    Body("triangle", 4, _triangle),
)
