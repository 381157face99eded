"""From pixels to things: what stands out from the background, each with its outline, colours, shapes and place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.baseline.policy import colours, outlines
from rsagent_ros.baseline.policy.figures import figures_of
from rsagent_ros.baseline.policy.lids import owners
from rsagent_ros.baseline.policy.patches import tones_of
from rsagent_ros.baseline.policy.touching import parted

_RIM = 4
_STRIP = 9
"""Pixels across, at most, of a strip that can be nothing but the edge of what it lies along."""

_SHED, _SHED_STEP = 33, 0.15
"""Colour that is shed beyond an edge reaches half of these pixels (a block of JPEG's), and differs from the ground by
less than this in log brightness."""

_SURELY = 1.2e-3
"""Share of the picture from which on a thing counts whatever its outline; smaller ones may be the rim of another."""


@dataclass(frozen=True, eq=False)
class Thing:
    """Something that stands out, in a picture of (h, w) pixels.

    Attributes:
        mask: (h, w) bool.
        box: Around it, pixels of the picture.
        colours: How well each colour name fits, 0..1.
        flat: Its brightness is the same all over, as a drawing's is.
        blocked: (h, w) bool, where other things are; like what is beyond the picture, they may hide a part of it.
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
        """How far its outline is from each shape's nearest, see `outlines.distances`."""
        wide = [
            cv2.copyMakeBorder(part.astype(np.uint8), _RIM, _RIM, _RIM, _RIM, cv2.BORDER_CONSTANT, value=beyond)
            for part, beyond in ((self.mask, 0), (self.blocked, 1))
        ]
        box = Box(self.box.x0, self.box.y0, self.box.x1 + 2 * _RIM, self.box.y1 + 2 * _RIM)
        mask, blocked = (cropped(part > 0, box) for part in wide)
        height, width = self.mask.shape
        half = max(height, width) / 2
        offset = (self.box.center.x - width / 2) / half, (self.box.center.y - height / 2) / half
        return outlines.distances(mask, blocked, offset)

    @cached_property
    def solidity(self) -> float:
        """Share of its convex hull that it covers."""
        return outlines.solidity(cropped(self.mask, self.box))

    @property
    def colour(self) -> str:
        """The colour name that fits best; empty where none does."""
        best = max(self.colours, key=lambda name: self.colours[name])
        return best if self.colours[best] > 0.2 else ""


def cropped(mask: Mask, box: Box) -> Mask:
    """The part of a mask in a box of whole pixels."""
    return mask[round(box.y0) : round(box.y1), round(box.x0) : round(box.x1)]


def look(pixels: NDArray[np.uint8]) -> list[Thing]:
    """The things in an (h, w, 3) uint8 RGB picture, larger ones first. About 0.2 s for 640x480."""
    light = colours.light_of(pixels)
    figures = figures_of(pixels)
    masks = []
    for number in range(1, int(figures.max()) + 1):
        box = bounding_box(figures == number)
        if box is None:
            continue
        for piece in parted(_tidied(cropped(figures == number, box))):
            mask = np.zeros(figures.shape, np.bool_)
            cropped(mask, box)[...] = piece
            masks.append(mask)
    taken = np.logical_or.reduce(masks) if masks else figures > 0
    things = []
    owner = owners(masks, pixels)
    for number, body in enumerate(masks):
        if owner[number] is None:
            lids = [masks[part] for part, whose in enumerate(owner) if whose == number]
            mask = np.logical_or.reduce([body, *lids])
            thing = thing_of(mask, pixels, light, taken & ~mask, body)
            if thing.area > _SURELY * mask.size or (thing.solidity > 0.75 and min(thing.shapes.values()) < 0.1):
                things.append(thing)
    return _without_rims(sorted(things, key=lambda thing: -thing.area), taken, pixels)


def _without_rims(things: list[Thing], taken: Mask, pixels: NDArray[np.uint8]) -> list[Thing]:
    """Things, larger ones first, but for what only the edge of a larger one makes.

    That are thin strips along it, where it is mixed with the ground, and the colour that compression lets it shed
    beyond its edge: small, near it, and no brighter or darker than the ground.
    """
    kept: list[Thing] = []
    for thing in things:
        thick = 2 * float(cv2.distanceTransform(thing.mask.astype(np.uint8), cv2.DIST_L2, 3).max())
        strip = thick <= _STRIP and _share_near(thing, kept, _STRIP) >= 0.8
        shed = (
            thick <= _SHED / 2 and _share_near(thing, kept, _SHED) >= 0.8 and _step(thing, taken, pixels) < _SHED_STEP
        )
        if not (strip or shed):
            kept.append(thing)
    return kept


def _share_near(thing: Thing, others: list[Thing], reach: int) -> float:
    """Share of a thing that is at most half of `reach` pixels away from one of the others."""
    if not others:
        return 0.0
    around = np.logical_or.reduce([other.mask for other in others]).astype(np.uint8)
    near = cv2.dilate(around, np.ones((reach, reach), np.uint8)) > 0
    return int(np.count_nonzero(thing.mask & near)) / thing.area


def _step(thing: Thing, taken: Mask, pixels: NDArray[np.uint8]) -> float:
    """Difference in log brightness between a thing and the ground along it; infinite where there is no ground."""
    ring = cv2.dilate(thing.mask.astype(np.uint8), np.ones((_SHED, _SHED), np.uint8)) > 0
    ground = ring & ~taken
    if not ground.any():
        return float("inf")
    inside, outside = (tones_of(pixels[part][None])[..., 2].mean() for part in (thing.mask, ground))
    return abs(float(inside - outside))


def thing_of(mask: Mask, pixels: NDArray[np.uint8], light: float, others: Mask, body: Mask) -> Thing:
    """The thing that a mask shows, which must not be empty; its colour is that of its body."""
    box = bounding_box(mask) or Box(0, 0, 1, 1)
    return Thing(mask, box, colours.fits_of(pixels[body], light), _is_flat(pixels, mask, box), others)


def _is_flat(pixels: NDArray[np.uint8], mask: Mask, box: Box) -> bool:
    # Away from the edge, where pixels mix with the ground.
    inner = cv2.erode(cropped(mask, box).astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    rows, columns = slice(round(box.y0), round(box.y1)), slice(round(box.x0), round(box.x1))
    values = cv2.GaussianBlur(pixels[rows, columns], (3, 3), 0).max(axis=2)[inner]
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
