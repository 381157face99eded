"""What is looked at now: one view, its picture, the things in it, and the way between its pixels and coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import EXTENT, Box, Point
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.baseline.policy.inspection import Check, compared, covered
from rsagent_ros.baseline.policy.perception import Thing


@dataclass(frozen=True, eq=False)
class Sight:
    """One view.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, its clean picture.
        view: What it shows, in pixels of the frame; the picture may be smaller or larger.
        things: What is seen in it, masks in pixels of the picture.
        pictures: Format of the chat, which decides the size of its overlays.
    """

    pixels: NDArray[np.uint8]
    view: Box
    things: tuple[Thing, ...]
    pictures: PictureFormat = DEFAULT_PICTURES

    def box(self, box: Box, margin: float = 0.0) -> Box:
        """A box of the picture's pixels, widened by a margin in pixels, in whole coordinates of the view."""
        height, width = self.pixels.shape[:2]
        x0, x1 = max(0.0, box.x0 - margin) / width, min(float(width), box.x1 + margin) / width
        y0, y1 = max(0.0, box.y0 - margin) / height, min(float(height), box.y1 + margin) / height
        return Box(
            float(np.floor(x0 * EXTENT)),
            float(np.floor(y0 * EXTENT)),
            float(np.ceil(x1 * EXTENT)),
            float(np.ceil(y1 * EXTENT)),
        )

    def point(self, point: Point) -> Point:
        """A pixel position of the picture in whole coordinates of the view."""
        height, width = self.pixels.shape[:2]
        return Point(float(round(point.x / width * EXTENT)), float(round(point.y / height * EXTENT)))

    def spot(self, point: Point) -> Point:
        """A pixel position of the overlay as one of the picture."""
        height, width = self.pixels.shape[:2]
        across, down = self._overlay_size
        return Point(point.x / across * width, point.y / down * height)

    def share(self, thing: Thing) -> float:
        """Percent of the view that a thing covers."""
        return 100.0 * thing.area / thing.mask.size

    def overlay_pixels(self, thing: Thing) -> float:
        """Longer side of a thing in pixels of an overlay of this view."""
        return max(thing.box.width, thing.box.height) * max(self._overlay_size) / max(self.pixels.shape[:2])

    def check(self, overlay: NDArray[np.uint8], thing: Thing) -> Check:
        """What an overlay of this view shows, compared with the thing that was meant."""
        across, down = self._overlay_size
        clean = cv2.resize(self.pixels, (across, down), interpolation=cv2.INTER_AREA)
        mask = covered(overlay[:down, :across], np.asarray(clean, dtype=np.uint8))
        cover = cv2.resize(thing.mask.astype(np.float32), (across, down), interpolation=cv2.INTER_AREA)
        meant = cover >= 0.5
        return compared(mask, meant if meant.any() else cover >= cover.max())

    def shown(self, mask: Mask, other: Sight) -> Mask:
        """A mask of another sight's picture in pixels of this one's; empty where this one does not show it."""
        height, width = self.pixels.shape[:2]
        rows, columns = mask.shape
        across, down = other.view.width / columns, other.view.height / rows
        x_scale, y_scale = across * width / self.view.width, down * height / self.view.height
        x0, y0 = other.view.x0 - self.view.x0, other.view.y0 - self.view.y0
        matrix = np.array([[x_scale, 0, x0 * width / self.view.width], [0, y_scale, y0 * height / self.view.height]])
        warped = cv2.warpAffine(mask.astype(np.float32), matrix, (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(warped >= 0.5)

    @property
    def _overlay_size(self) -> tuple[int, int]:
        return self.pictures.size(round(self.view.width), round(self.view.height), "overlay")
