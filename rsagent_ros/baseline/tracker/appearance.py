"""The colours of an object, kept as a histogram, and the pixels of a later frame that they explain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.segmenter.crop import TONES_PER_LOG, encoded
from rsagent_ros.baseline.tracker.carried_mask import resized

Histogram = NDArray[np.float32]

_SIDE = 256
"""Longest side in pixels of a picture whose colours are looked at; larger ones are shrunk."""

_BIN = 16
_LEVELS = 256 // _BIN
_SPREAD = 0.5
"""Weight that goes to the two neighbouring bins: a histogram's walls are where chance puts them."""

_OWN = 0.02
"""Share of the object's own pixels at the beginning, the rarest ones, whose colours do not count as its own."""

_ANCHOR = 0.5
"""Weight of the first look, for ever: without it a slow swap would be learned step by step."""

_RATE = 0.1
_SPECK = 3
_HIDING = 0.04
"""Least share of a mask that something unlike the object must cover, in one piece, to count as standing before it."""


@dataclass(frozen=True, eq=False)
class AppearanceMatch:
    """Comparison of the pixels under a mask with the object.

    Attributes:
        visible: (h, w) bool: the mask without anything that stands before the object.
        visible_share: Visible share of the mask, 0..1; exactly 1 where nothing stands before it.
        similarity: Bhattacharyya coefficient of the visible colours and the object's, 0..1.
        histogram: Histogram of the visible colours.
    """

    visible: Mask
    visible_share: float
    similarity: float
    histogram: Histogram


class Appearance:
    """The colours of one object: those of the first look, and those of lately. A fixed 32 KB."""

    def __init__(self, picture: NDArray[np.uint8], mask: Mask) -> None:
        """Learn the pixels of a (h, w) mask that is not empty, in a (h, w, 3) uint8 RGB picture."""
        codes = _codes(picture, 0.0)
        inside = resized(mask, codes.shape)
        inside = inside if inside.any() else np.ones(codes.shape, np.bool_)
        self._anchor = self._recent = _histogram(codes[inside])
        self._least = float(np.quantile(self._anchor[codes[inside]], _OWN)) * _ANCHOR

    def explains(self, picture: NDArray[np.uint8], brighter: float) -> Mask:
        """(h, w) bool: pixels of a picture that have one of the object's colours.

        Args:
            picture: (h, w, 3) uint8 RGB.
            brighter: Increase in brightness of the whole camera picture since the beginning, as a natural logarithm.
        """
        return resized(self._own(_codes(picture, brighter)), picture.shape[:2])

    def match(self, picture: NDArray[np.uint8], mask: Mask, brighter: float) -> AppearanceMatch:
        """Compare the pixels under a (h, w) mask that is not empty; otherwise as in `explains`."""
        codes = _codes(picture, brighter)
        inside = resized(mask, codes.shape)
        strange = _pieces(inside & ~self._own(codes), _HIDING * np.count_nonzero(inside))
        visible = mask & ~resized(strange, mask.shape)
        histogram = _histogram(codes[inside & ~strange])
        share = np.count_nonzero(visible) / np.count_nonzero(mask)
        return AppearanceMatch(visible, float(share), float(np.sqrt(histogram * self._reference).sum()), histogram)

    def learn(self, match: AppearanceMatch) -> None:
        """Let the recent colours follow a match that is surely the object."""
        self._recent = np.asarray((1 - _RATE) * self._recent + _RATE * match.histogram, dtype=np.float32)

    def _own(self, codes: NDArray[np.int64]) -> Mask:
        return np.asarray(self._reference[codes] >= self._least)

    @property
    def _reference(self) -> Histogram:
        return np.asarray(_ANCHOR * self._anchor + (1 - _ANCHOR) * self._recent, dtype=np.float32)


def brightening(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Increase in brightness of a whole (h, w) grey picture, as a natural logarithm.

    The median over coarse blocks: an object that moves does not count, another exposure or lamp does.
    """
    blocks = [cv2.resize(grey, (32, 24), interpolation=cv2.INTER_AREA).astype(np.float32) for grey in (before, after)]
    return float(np.median(np.log((blocks[1] + 8.0) / (blocks[0] + 8.0))))


def _codes(picture: NDArray[np.uint8], brighter: float) -> NDArray[np.int64]:
    """(h, w) numbers of the bins that the tones of a picture fall into, at most 256 pixels a side."""
    scale = min(1.0, _SIDE / max(picture.shape[:2]))
    if scale < 1.0:
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    tones = encoded(np.ascontiguousarray(picture)).tones.astype(np.float32)
    tones[..., 2] -= TONES_PER_LOG * brighter
    bins = np.clip(tones / _BIN, 0, _LEVELS - 1).astype(np.int64)
    return np.asarray((bins[..., 0] * _LEVELS + bins[..., 1]) * _LEVELS + bins[..., 2])


def _histogram(codes: NDArray[np.int64]) -> Histogram:
    """Shares of the 16 x 16 x 16 bins, smoothed, flat; their sum is 1, or 0 of nothing."""
    cube = np.bincount(codes, minlength=_LEVELS**3).astype(np.float32).reshape(_LEVELS, _LEVELS, _LEVELS)
    for axis in range(3):
        cube = (1 - _SPREAD) * cube + _SPREAD / 2 * (np.roll(cube, 1, axis) + np.roll(cube, -1, axis))
    return np.asarray(cube.ravel() / max(float(cube.sum()), 1e-9), dtype=np.float32)


def _pieces(mask: Mask, least: float) -> Mask:
    """The connected pieces of a mask that have at least so many pixels, without thin lines and specks."""
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((_SPECK, _SPECK), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    large = [number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= least]
    return np.isin(labels, large) if large else np.zeros(mask.shape, np.bool_)
