"""Points, boxes and views: exact maps between the pixels of the frame and the 0..1000 coordinates of the chat.

A pixel with index i covers [i, i + 1), so the frame of width W spans [0, W] and the centre of its first pixel is 0.5.
A `View` is a crop of the frame on whole pixels; a view of a view keeps its parent, which makes a stack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)

EXTENT = 1000
"""Coordinates in the chat run from 0 to EXTENT along each side of the current view."""

MIN_VIEW_SIDE = 32
"""A zoom never shows fewer pixels than this a side (unless the frame itself is smaller)."""


@dataclass(frozen=True, slots=True)
class Point:
    """A position (x right, y down)."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel box [x0, x1) x [y0, y1), x right, y down."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """x1 - x0."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """y1 - y0."""
        return self.y1 - self.y0

    def moved(self, right: float, down: float) -> Box:
        """The box, moved."""
        return Box(self.x0 + right, self.y0 + down, self.x1 + right, self.y1 + down)

    @property
    def area(self) -> float:
        """Width times height; 0 for a reversed box."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def center(self) -> Point:
        """The middle."""
        return Point((self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2)

    def intersection(self, other: Box) -> Box:
        """The part that both boxes cover; its area is 0 where they do not meet."""
        return Box(
            max(self.x0, other.x0),
            max(self.y0, other.y0),
            min(self.x1, other.x1),
            min(self.y1, other.y1),
        )

    def iou(self, other: Box) -> float:
        """Intersection over union; 0 for two empty boxes."""
        shared = self.intersection(other).area
        union = self.area + other.area - shared
        return shared / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True)
class View:
    """A crop of the frame on whole pixels: x0 <= x < x1, y0 <= y < y1.

    Attributes:
        x0, y0, x1, y1: Full-frame pixels.
        frame_width, frame_height: Size of the frame.
        parent: The view this one was zoomed from; None for the whole frame.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    frame_width: int
    frame_height: int
    parent: View | None = None

    @staticmethod
    def whole(width: int, height: int) -> View:
        """The view of a whole frame of this size in pixels."""
        if width < 1 or height < 1:
            raise ValueError(f"a frame of {width} x {height} pixels can't be looked at; both sides must be at least 1")
        return View(0, 0, width, height, width, height)

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.y1 - self.y0

    @property
    def key(self) -> tuple[int, int, int, int]:
        """The crop alone: two views with one key show the same pixels, however they were reached."""
        return self.x0, self.y0, self.x1, self.y1

    @property
    def root(self) -> View:
        """The bottom of the stack: the whole frame."""
        view = self
        while view.parent is not None:
            view = view.parent
        return view

    def zoom(self, box: Box) -> View:
        """Crop to a box given in this view's 0..1000 coordinates.

        The crop grows to whole pixels and to at least MIN_VIEW_SIDE a side, and never leaves this view's frame.
        """
        wanted = self.box_to_frame(box)
        x0, x1 = _widen(wanted.x0, wanted.x1, self.frame_width)
        y0, y1 = _widen(wanted.y0, wanted.y1, self.frame_height)
        return View(x0, y0, x1, y1, self.frame_width, self.frame_height, self)

    def to_frame(self, point: Point) -> Point:
        """From 0..1000 of this view to full-frame pixels."""
        return Point(
            self.x0 + point.x / EXTENT * self.width,
            self.y0 + point.y / EXTENT * self.height,
        )

    def to_view(self, point: Point) -> Point:
        """From full-frame pixels to 0..1000 of this view, unrounded and unclipped: the inverse of `to_frame`."""
        return Point(
            (point.x - self.x0) / self.width * EXTENT,
            (point.y - self.y0) / self.height * EXTENT,
        )

    def box_to_frame(self, box: Box) -> Box:
        """From 0..1000 of this view to full-frame pixels."""
        a, b = (
            self.to_frame(Point(box.x0, box.y0)),
            self.to_frame(Point(box.x1, box.y1)),
        )
        return Box(a.x, a.y, b.x, b.y)

    def box_to_view(self, box: Box) -> Box:
        """From full-frame pixels to 0..1000 of this view, unrounded and unclipped."""
        a, b = self.to_view(Point(box.x0, box.y0)), self.to_view(Point(box.x1, box.y1))
        return Box(a.x, a.y, b.x, b.y)

    def to_crop(self, point: Point) -> Point:
        """From 0..1000 of this view to pixels of the cropped image."""
        return Point(point.x / EXTENT * self.width, point.y / EXTENT * self.height)

    def box_to_crop(self, box: Box) -> Box:
        """From 0..1000 of this view to pixels of the cropped image."""
        a, b = self.to_crop(Point(box.x0, box.y0)), self.to_crop(Point(box.x1, box.y1))
        return Box(a.x, a.y, b.x, b.y)

    def crop(self, frame: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The pixels of this view out of a (H, W, ...) array of the whole frame, without a copy."""
        if frame.shape[:2] != (self.frame_height, self.frame_width):
            raise ValueError(
                f"this view is of a {self.frame_width} x {self.frame_height} frame, "
                f"the array has {frame.shape[1]} x {frame.shape[0]}"
            )
        return frame[self.y0 : self.y1, self.x0 : self.x1]

    def paste(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A (height, width) mask of this view as a (H, W) mask of the whole frame, False elsewhere."""
        if mask.shape != (self.height, self.width):
            raise ValueError(f"the mask is {mask.shape}, the view is {(self.height, self.width)} (height, width)")
        full = np.zeros((self.frame_height, self.frame_width), dtype=np.bool_)
        full[self.y0 : self.y1, self.x0 : self.x1] = mask
        return full


def _widen(low: float, high: float, limit: int) -> tuple[int, int]:
    """Whole pixels around [low, high], at least MIN_VIEW_SIDE of them, inside [0, limit]."""
    # The tolerance undoes the rounding of to_frame, so that the box of a view's own edges gives that view.
    first, last = max(0, math.floor(low + 1e-6)), min(limit, math.ceil(high - 1e-6))
    side = min(MIN_VIEW_SIDE, limit)
    if last - first < side:
        first = max(0, min(limit - side, (first + last - side) // 2))
        last = first + side
    return first, last
