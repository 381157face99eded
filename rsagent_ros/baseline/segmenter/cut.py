"""Three ways to cut an object out of a crop of tones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Pixel = tuple[int, int]

_ROUNDS = 3
_REACH = (14, 14, 36)
"""Differences in the three tones up to which pixels look alike."""

_BIN = 8
_NEAR = 0.2
"""Width of the band just outside of a region, relative to the region's side."""

_MORE_FREQUENT = 3.0

_POINT_RADIUS = 2


@dataclass(frozen=True, eq=False)
class CropPrompt:
    """A prompt in pixels of the crop.

    Attributes:
        box: XYXY of the region that the object is in.
        foreground, background: Pixels (x, y) on the object, and beside it.
        mask_input: (h, w) float32 logits of an earlier mask, at the crop's size.
    """

    box: tuple[int, int, int, int]
    foreground: tuple[Pixel, ...] = ()
    background: tuple[Pixel, ...] = ()
    mask_input: Floats | None = None


def candidates(tones: Bytes, prompt: CropPrompt) -> list[Mask]:
    """The tight, the whole and the loose cut, (h, w) bool each; any may be empty."""
    inside = np.zeros(tones.shape[:2], np.bool_)
    x0, y0, x1, y1 = prompt.box
    inside[y0:y1, x0:x1] = True
    wanted = grown(tones, prompt.foreground)
    unwanted = grown(tones, prompt.background) & ~wanted
    loose = inside & unlike(tones, inside) & ~unwanted | wanted & inside
    start = loose if prompt.mask_input is None else inside & (prompt.mask_input > 0) & ~unwanted
    whole = _cut(tones, inside, start, unwanted, prompt)
    tight = (whole | loose) & wanted if prompt.foreground else whole & _like_its_middle(tones, whole)
    return [_tidied(mask, prompt) for mask in (tight, whole, loose)]


def grown(tones: Bytes, points: Iterable[Pixel], reach: tuple[int, int, int] = _REACH) -> Mask:
    """(h, w) bool: pixels that look like the pixel of one of the points and are connected to it."""
    height, width = tones.shape[:2]
    filled = np.zeros((height + 2, width + 2), np.uint8)
    for point in points:
        flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | 255 << 8
        cv2.floodFill(tones, filled, point, (0, 0, 0), reach, reach, flags)
    return np.asarray(filled[1:-1, 1:-1] > 0)


def unlike(tones: Bytes, inside: Mask) -> Mask:
    """Pixels, (h, w) bool, whose tone is more frequent in a region than around it.

    Around it is just outside of it, or the crop's rim where the region fills the crop.
    """
    reach = 3 + round(_NEAR * float(np.sqrt(np.count_nonzero(inside))))
    near = cv2.dilate(inside.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    outside = near & ~inside
    if outside.mean() < 0.05:
        outside[[0, -1]] = outside[:, [0, -1]] = True
    levels = 256 // _BIN
    bins = (tones // _BIN).astype(np.int64)
    codes = (bins[..., 0] * levels + bins[..., 1]) * levels + bins[..., 2]
    shares = []
    for region in (inside, outside):
        counts = np.bincount(codes[region], minlength=levels**3).astype(np.float32).reshape(levels, levels, levels)
        # Neighbouring bins count too: a histogram's walls are where chance puts them.
        for axis in range(3):
            counts = counts + 0.5 * (np.roll(counts, 1, axis) + np.roll(counts, -1, axis))
        shares.append(counts.ravel()[codes] / max(1, np.count_nonzero(region)))
    return np.asarray(shares[0] > _MORE_FREQUENT * shares[1])


def _cut(tones: Bytes, inside: Mask, start: Mask, unwanted: Mask, prompt: CropPrompt) -> Mask:
    """GrabCut from a first guess; nothing outside of `inside` can become foreground."""
    if np.count_nonzero(start) < 0.02 * np.count_nonzero(inside):
        start = inside & ~unwanted
    labels = np.where(start, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[~inside | unwanted] = cv2.GC_BGD
    for points, label in ((prompt.foreground, cv2.GC_FGD), (prompt.background, cv2.GC_BGD)):
        for point in points:
            cv2.circle(labels, point, _POINT_RADIUS, int(label), -1)
    foreground = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if foreground.all() or not foreground.any():
        return np.asarray(foreground)
    # GrabCut's colour clusters start from OpenCV's random numbers; one thread's do not touch another's.
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(tones, labels, (0, 0, 1, 1), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.asarray((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _like_its_middle(tones: Bytes, mask: Mask) -> Mask:
    """The part of a mask that looks like its innermost pixel."""
    if not mask.any():
        return mask
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(np.argmax(depth)), mask.shape)
    return mask & grown(tones, [(int(x), int(y))])


def _tidied(mask: Mask, prompt: CropPrompt) -> Mask:
    """The parts that foreground points are on, else the largest; small holes filled; the points given their due."""
    tidy = mask.astype(np.uint8)
    for points, value in ((prompt.foreground, 1), (prompt.background, 0)):
        for point in points:
            cv2.circle(tidy, point, _POINT_RADIUS, value, -1)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(tidy, connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, np.bool_)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    pointed_at = {int(labels[y, x]) for x, y in prompt.foreground} - {0}
    # An object that something stands in front of is in two parts: the second largest counts if it is large.
    kept = pointed_at or {int(np.argmax(areas))}
    least = 0.25 * max(areas[number] for number in kept)
    kept |= {number for number in range(1, count) if areas[number] > least}
    solid = np.isin(labels, list(kept))
    holes, labels, stats, _ = cv2.connectedComponentsWithStats((~solid).astype(np.uint8), connectivity=4)
    for number in range(1, holes):
        if stats[number, cv2.CC_STAT_AREA] < 0.02 * np.count_nonzero(solid):
            hole = labels == number
            if not any(hole[y, x] for x, y in prompt.background):
                solid |= hole
    return solid
