"""The view that is looked at now: its picture, its objects, and the way between pixels and coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import EXTENT, Box, Point
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.baseline.policy.objects import SceneObject
from rsagent_ros.baseline.policy.overlay import MaskCheck, compared, covered


@dataclass(frozen=True, eq=False)
class ObservedView:
    """One view.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, its clean picture.
        extent: The part of the frame that it shows, pixels of the frame; the picture may be smaller or larger.
        objects: The objects in it, masks in pixels of the picture.
        pictures: Format of the chat, which decides the size of its overlays.
    """

    pixels: NDArray[np.uint8]
    extent: Box
    objects: tuple[SceneObject, ...]
    pictures: PictureFormat = DEFAULT_PICTURES

    def box(self, box: Box, margin: float = 0.0) -> Box:
        """A box of the picture's pixels, widened by a margin in pixels, in whole coordinates of the view."""
        height, width = self.pixels.shape[:2]
        x0, x1 = max(0.0, box.x0 - margin) / width, min(float(width), box.x1 + margin) / width
        y0, y1 = max(0.0, box.y0 - margin) / height, min(float(height), box.y1 + margin) / height
        low, high = np.floor([x0 * EXTENT, y0 * EXTENT]).tolist(), np.ceil([x1 * EXTENT, y1 * EXTENT]).tolist()
        return Box(*low, *high)

    def thousandths(self, box: Box) -> Box:
        """A box in the chat's coordinates, as those over a picture with marks are, in coordinates of the view."""
        width, height = round(self.extent.width), round(self.extent.height)
        across, down = self.pictures.extent(width, height, "marks")
        x, y = EXTENT / across, EXTENT / down
        return Box(box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y)

    def point(self, point: Point) -> Point:
        """A pixel position of the picture in whole coordinates of the view."""
        height, width = self.pixels.shape[:2]
        return Point(float(round(point.x / width * EXTENT)), float(round(point.y / height * EXTENT)))

    def from_overlay(self, point: Point) -> Point:
        """A pixel position of the overlay as one of the picture."""
        height, width = self.pixels.shape[:2]
        across, down = self._overlay_size
        return Point(point.x / across * width, point.y / down * height)

    def share(self, target: SceneObject) -> float:
        """Percent of the view that an object covers."""
        return 100.0 * target.area / target.mask.size

    def overlay_pixels(self, target: SceneObject) -> float:
        """Longer side of an object in pixels of an overlay of this view."""
        return max(target.box.width, target.box.height) * max(self._overlay_size) / max(self.pixels.shape[:2])

    def check(self, overlay: NDArray[np.uint8], target: SceneObject) -> MaskCheck:
        """The mask that an overlay of this view shows, compared with the object that was meant."""
        across, down = self._overlay_size
        clean = cv2.resize(self.pixels, (across, down), interpolation=cv2.INTER_AREA)
        mask = covered(overlay[:down, :across], np.asarray(clean, dtype=np.uint8))
        cover = cv2.resize(target.mask.astype(np.float32), (across, down), interpolation=cv2.INTER_AREA)
        meant = cover >= 0.5
        return compared(mask, meant if meant.any() else cover >= cover.max())

    def taken_over(self, mask: Mask, other: ObservedView) -> Mask:
        """A mask of another view's picture in pixels of this one's; empty where this one does not show it."""
        height, width = self.pixels.shape[:2]
        rows, columns = mask.shape
        across, down = width / self.extent.width, height / self.extent.height
        x0, y0 = other.extent.x0 - self.extent.x0, other.extent.y0 - self.extent.y0
        x_scale, y_scale = other.extent.width / columns * across, other.extent.height / rows * down
        matrix = np.array([[x_scale, 0, x0 * across], [0, y_scale, y0 * down]])
        warped = cv2.warpAffine(mask.astype(np.float32), matrix, (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(warped >= 0.5)

    @property
    def _overlay_size(self) -> tuple[int, int]:
        return self.pictures.size(round(self.extent.width), round(self.extent.height), "overlay")
