"""Object detection: what stands out from the background, each with its outline, colours, shape and place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.baseline.policy import shapes
from rsagent_ros.baseline.policy.colours import fits_of, light_of
from rsagent_ros.baseline.policy.foreground import foreground_of
from rsagent_ros.baseline.policy.overlay import depth_of
from rsagent_ros.baseline.policy.touching import split
from rsagent_ros.baseline.tones import tones_of

_RIM = 4
_THIN = 9
"""Thickness in pixels, at most, of a strip that may be only the edge of a larger object."""

_BLEED, _BLEED_STEP = 16.0, 0.15
"""Pixels that colour bleeds over an edge where a picture is compressed (a block of JPEG's), and the difference in log
brightness to the ground that it stays below."""

_SURELY = 1.2e-3
"""Share of the picture from which on an object counts whatever its outline; smaller ones may be a stain."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """An object that stands out, in a picture of (h, w) pixels.

    Attributes:
        mask: (h, w) bool.
        box: Its bounding box, pixels of the picture.
        colours: Fit of each colour name, 0..1.
        flat: Its brightness is the same all over, as a drawing's is.
        blocked: (h, w) bool, where other objects are; like the picture's border, they may hide a part of it.
    """

    mask: Mask
    box: Box
    colours: dict[str, float]
    flat: bool
    blocked: Mask

    @cached_property
    def area(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def centre(self) -> Point:
        """Mean of its pixels."""
        rows, columns = np.nonzero(self.mask)
        return Point(float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)

    @cached_property
    def shapes(self) -> dict[str, float]:
        """Distance of its outline from each shape's nearest, see `shapes.distances`."""
        wide = [
            cv2.copyMakeBorder(part.astype(np.uint8), _RIM, _RIM, _RIM, _RIM, cv2.BORDER_CONSTANT, value=beyond)
            for part, beyond in ((self.mask, 0), (self.blocked, 1))
        ]
        box = Box(self.box.x0, self.box.y0, self.box.x1 + 2 * _RIM, self.box.y1 + 2 * _RIM)
        mask, blocked = (part[rows_and_columns(box)] > 0 for part in wide)
        height, width = self.mask.shape
        half = max(height, width) / 2
        offset = (self.box.center.x - width / 2) / half, (self.box.center.y - height / 2) / half
        return shapes.distances(mask, blocked, offset)

    @cached_property
    def solidity(self) -> float:
        """Share of its convex hull that it covers."""
        return shapes.solidity(self.mask[rows_and_columns(self.box)])

    @property
    def colour(self) -> str:
        """The colour name that fits best; empty where none does."""
        best = max(self.colours, key=lambda name: self.colours[name])
        return best if self.colours[best] > 0.2 else ""


def rows_and_columns(box: Box) -> tuple[slice, slice]:
    """The slices of an image that a box of whole pixels covers."""
    return slice(round(box.y0), round(box.y1)), slice(round(box.x0), round(box.x1))


def detect(pixels: NDArray[np.uint8]) -> list[SceneObject]:
    """The objects in an (h, w, 3) uint8 RGB picture, larger ones first. About 0.2 s for 640x480."""
    light = light_of(pixels)
    foreground = foreground_of(pixels)
    masks = []
    for number in range(1, int(foreground.max()) + 1):
        box = bounding_box(foreground == number)
        if box is None:
            continue
        part = rows_and_columns(box)
        for piece in split(_tidied((foreground == number)[part])):
            mask = np.zeros(foreground.shape, np.bool_)
            mask[part] = piece
            masks.append(mask)
    taken = np.logical_or.reduce([foreground < 0, *masks])
    objects = [object_of(mask, pixels, light, taken & ~mask) for mask in masks]
    found = [
        one
        for one in objects
        if one.area > _SURELY * one.mask.size or (one.solidity > 0.75 and min(one.shapes.values()) < 0.1)
    ]
    return _without_rims(sorted(found, key=lambda one: -one.area), taken, pixels)


def object_of(mask: Mask, pixels: NDArray[np.uint8], light: float, others: Mask) -> SceneObject:
    """The object that a mask shows, which must not be empty."""
    box = bounding_box(mask) or Box(0, 0, 1, 1)
    return SceneObject(mask, box, fits_of(pixels[mask], light), _is_flat(pixels, mask, box), others)


def _without_rims(objects: list[SceneObject], taken: Mask, pixels: NDArray[np.uint8]) -> list[SceneObject]:
    """Objects, larger ones first, without those that are only the edge of a larger one.

    Those are thin strips along it, where it is mixed with the ground, and the colour that compression lets bleed over
    its edge: thin, near it, and no brighter or darker than the ground.
    """
    brightness = tones_of(pixels)[..., 2]
    larger = np.zeros_like(taken)
    kept: list[SceneObject] = []
    for one in objects:
        thin = 2 * float(depth_of(one.mask).max()) <= _THIN
        if not (thin and kept and _is_rim(one, larger, taken, brightness)):
            larger |= one.mask
            kept.append(one)
    return kept


def _is_rim(one: SceneObject, larger: Mask, taken: Mask, brightness: NDArray[np.float32]) -> bool:
    gaps = cv2.distanceTransform((~larger).astype(np.uint8), cv2.DIST_C, 3)
    reach = float(np.quantile(gaps[one.mask], 0.8))
    around = cv2.distanceTransform((~one.mask).astype(np.uint8), cv2.DIST_C, 3) <= _BLEED
    ground = brightness[around & ~taken]
    step = abs(float(brightness[one.mask].mean() - ground.mean())) if len(ground) else np.inf
    return reach <= _THIN / 2 or (reach <= _BLEED and step < _BLEED_STEP)


def _is_flat(pixels: NDArray[np.uint8], mask: Mask, box: Box) -> bool:
    part = rows_and_columns(box)
    # Away from the edge, where pixels mix with the ground.
    inner = cv2.erode(mask[part].astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    values = cv2.GaussianBlur(pixels[part], (3, 3), 0).max(axis=2)[inner]
    if not len(values):
        return True
    low, high = np.percentile(values, (5, 95))
    return bool(high - low < 0.12 * high + 6)


def _tidied(mask: Mask) -> Mask:
    """Without threads and crumbs, unless it consists of them; small holes filled."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if count < 2:
        return mask
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[largest, cv2.CC_STAT_AREA] < 0.8 * np.count_nonzero(mask):
        return mask
    return np.asarray((labels == largest)[2:-2, 2:-2])
