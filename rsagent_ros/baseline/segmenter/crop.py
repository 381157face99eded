"""The encoded image, and the crop of it in which a prompt is answered."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.baseline.tones import tones_of

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_ENCODED_SIDE = 512
_CROP_SIDE = 144
_SURROUNDINGS = 0.3
"""Margin of the crop around the box, relative to the box's longer side."""

TONES_PER_LOG = 50.0
"""Third tone of an encoded image per unit of log brightness."""

_TONE_SCALE = np.array([260.0, 260.0, TONES_PER_LOG], np.float32)
_TONE_ZERO = np.array([128.0, 128.0, 255.0], np.float32)


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An image, shrunk and in tones.

    Attributes:
        tones: (h, w, 3) uint8, at most 512 pixels a side: as of `tones_of`, scaled to bytes.
        image: (H, W, 3) uint8 RGB, as given.
    """

    tones: Bytes
    image: Bytes

    @property
    def width(self) -> int:
        """Width of the image, pixels."""
        return self.image.shape[1]

    @property
    def height(self) -> int:
        """Height of the image, pixels."""
        return self.image.shape[0]

    @property
    def scale(self) -> float:
        """Pixels of the tones per pixel of the image."""
        return self.tones.shape[1] / self.width


def encoded(image: Bytes) -> EncodedImage:
    """Shrink an (H, W, 3) uint8 RGB image and turn it into tones."""
    height, width = image.shape[:2]
    scale = min(1.0, _ENCODED_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = image if scale == 1.0 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    tones = tones_of(np.asarray(cv2.bilateralFilter(small, 5, 20, 2), dtype=np.uint8))
    return EncodedImage(np.clip(tones * _TONE_SCALE + _TONE_ZERO, 0, 255).astype(np.uint8), image)


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of the encoded image, shrunk where it is large.

    Attributes:
        tones: (h, w, 3) uint8.
        x0, y0, x1, y1: The part, pixels of the encoded tones.
        source: The encoded image.
    """

    tones: Bytes
    x0: int
    y0: int
    x1: int
    y1: int
    source: EncodedImage

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the crop per pixel of the image, across and down."""
        height, width = self.tones.shape[:2]
        scale = self.source.scale
        return width / (self.x1 - self.x0) * scale, height / (self.y1 - self.y0) * scale

    def pixel(self, point: Point) -> tuple[int, int]:
        """The pixel (x, y) of the crop at a point of the image; the nearest one where it lies outside."""
        height, width = self.tones.shape[:2]
        across, down = self.scale
        x = int(np.floor((point.x * self.source.scale - self.x0) * across / self.source.scale))
        y = int(np.floor((point.y * self.source.scale - self.y0) * down / self.source.scale))
        return min(max(x, 0), width - 1), min(max(y, 0), height - 1)

    def shows(self, point: Point) -> bool:
        """Whether a point of the image lies in the crop."""
        x, y = point.x * self.source.scale, point.y * self.source.scale
        return self.x0 <= x < self.x1 and self.y0 <= y < self.y1

    def box(self, box: Box) -> tuple[int, int, int, int]:
        """The pixels x0, y0, x1, y1 of the crop that a box of the image covers, at least one each way."""
        x0, y0 = self.pixel(Point(box.x0, box.y0))
        x1, y1 = self.pixel(Point(box.x1, box.y1))
        return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)

    def part_of(self, whole: Floats) -> Floats:
        """The crop's part of a (h, w) float32 array over the whole image, at the crop's size."""
        size = (self.source.tones.shape[1], self.source.tones.shape[0])
        full = cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)[self.y0 : self.y1, self.x0 : self.x1]
        return np.asarray(cv2.resize(full, self.tones.shape[1::-1], interpolation=cv2.INTER_AREA), dtype=np.float32)

    def pasted(self, part: Floats, outside: float, side: int | None = None) -> Floats:
        """An array over the crop put back into the whole image.

        Args:
            part: (h, w) float32 of the crop's size.
            outside: Value elsewhere.
            side: Longest side of the result; None for the image's own size.
        """
        height, width = self.source.height, self.source.width
        scale = 1.0 if side is None else min(1.0, side / max(height, width))
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
        rows, columns = self.source.tones.shape[:2]
        x0, x1 = round(self.x0 * width / columns), round(self.x1 * width / columns)
        y0, y1 = round(self.y0 * height / rows), round(self.y1 * height / rows)
        whole = np.full((height, width), outside, np.float32)
        if x1 > x0 and y1 > y0:
            whole[y0:y1, x0:x1] = cv2.resize(part, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        return whole


def crop_around(source: EncodedImage, box: Box) -> Crop:
    """The crop for a box of the image: the box and its surroundings."""
    rows, columns = source.tones.shape[:2]
    scale = source.scale
    margin = max(8.0, _SURROUNDINGS * max(box.width, box.height) * scale)
    x0, x1 = _span(box.x0 * scale - margin, box.x1 * scale + margin, columns)
    y0, y1 = _span(box.y0 * scale - margin, box.y1 * scale + margin, rows)
    tones = source.tones[y0:y1, x0:x1]
    shrink = min(1.0, _CROP_SIDE / max(tones.shape[:2]))
    if shrink < 1.0:
        size = (max(1, round((x1 - x0) * shrink)), max(1, round((y1 - y0) * shrink)))
        tones = np.asarray(cv2.resize(tones, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return Crop(np.ascontiguousarray(tones), x0, y0, x1, y1, source)


def _span(low: float, high: float, limit: int) -> tuple[int, int]:
    first, last = max(0, int(np.floor(low))), min(limit, int(np.ceil(high)))
    return (first, last) if last > first else (min(first, limit - 1), min(first, limit - 1) + 1)
