"""From pixels to patches: small regions of one surface colour, and which of them border on which.

Colour is measured as a `tone`, in which light and shade hardly matter: two coordinates of chromaticity, which stay the
same from the lit to the shaded side of a thing, and the logarithm of brightness, which does not and is used sparingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
Floats = NDArray[np.float32]

_DARK = 25.0
"""Added to R + G + B: pulls the chromaticity of nearly black pixels, which is mostly noise, to neutral."""

_FULL = 765 + _DARK
_LEVELS = 4.0
"""Grey levels by which the colour of a patch may be off, by noise or compression: in the dark that is a lot."""

_EDGE_SCALE = (350.0, 350.0, 90.0)
"""Grey levels per unit of tone where edges between surfaces are looked for."""

_FIT_WEIGHTS = np.array([1.0, 1.0, 0.3], np.float32)
_PATCHES_A_SIDE = 80
_FIT_ROUNDS = 3


def tones_of(pixels: NDArray[np.uint8]) -> Floats:
    """(h, w, 3) float32 tones of (h, w, 3) uint8 RGB: red to green, yellow to blue (each -0.8..0.8), log brightness."""
    red, green, blue = cv2.split(pixels.astype(np.float32))
    total = red + green + blue + _DARK
    return np.dstack(
        [
            (red - green) * np.float32(0.7071) / total,
            (red + green - 2 * blue) * np.float32(0.4082) / total,
            cv2.log(total / _FULL),
        ]
    )


@dataclass(frozen=True, eq=False)
class Patches:
    """A picture cut into patches, as a graph.

    Attributes:
        labels: (h, w) int32, the patch of each pixel, 0..n-1.
        tones: (n, 3) mean tone of each.
        areas: (n,) pixels of each.
        pairs: (m, 2) patches that border on each other, smaller first.
        lengths: (m,) pixels along each border.
    """

    labels: Labels
    tones: NDArray[np.float64]
    areas: NDArray[np.float64]
    pairs: NDArray[np.int64]
    lengths: NDArray[np.float64]

    def neighbours(self, members: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The patches that border on any of the (n,) chosen ones without being chosen, once for each border.

        Returns:
            Their numbers, and the pixels along each border.
        """
        inside = members[self.pairs]
        border = inside[:, 0] != inside[:, 1]
        outer = np.where(inside[border, 0], self.pairs[border, 1], self.pairs[border, 0])
        return outer, self.lengths[border]

    def joined(
        self,
        weights: Sequence[float],
        limit: float,
        *,
        grain: float = 0.0,
        among: NDArray[np.bool_] | None = None,
        careful: bool = False,
    ) -> NDArray[np.int64]:
        """Join neighbours as long as they are alike, the most alike first.

        Args:
            weights: Of the three tones in the distance.
            limit: Neighbours whose weighted tones are at least this far apart stay apart.
            grain: Small patches vary more by chance: `grain / sqrt(area)` of the smaller one comes on top of the limit.
            among: (n,) which patches may join at all; None for all.
            careful: In each round only pairs that are each other's nearest join, not every patch with its nearest. No
                chain of patches can form then, but there are many more rounds: for few patches.

        Returns:
            (n,) the number of the group that each patch belongs to, for `relabelled`.
        """
        scale = np.asarray(weights)
        new_of = np.arange(len(self.areas))
        tones, areas, pairs = self.tones, self.areas, self.pairs
        if among is not None:
            pairs = pairs[among[pairs].all(axis=1)]
        while len(pairs):
            first, second = pairs.T
            distance = np.linalg.norm((tones[first] - tones[second]) * scale, axis=1)
            doubt = _LEVELS / (_FULL * np.exp(np.maximum(tones[first, 2], tones[second, 2])))
            distance /= limit + doubt + grain / np.sqrt(np.minimum(areas[first], areas[second]))
            least = np.full(len(areas), np.inf)
            np.minimum.at(least, first, distance)
            np.minimum.at(least, second, distance)
            nearest = np.stack([distance <= least[first], distance <= least[second]])
            join = (distance < 1) & (nearest.all(axis=0) if careful else nearest.any(axis=0))
            if not join.any():
                break
            step = _roots(len(areas), pairs[join])
            new_of = step[new_of]
            tones, areas = _pooled(self.tones, self.areas, new_of)
            pairs = np.unique(np.sort(step[pairs], axis=1), axis=0)
            pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        return new_of

    def relabelled(self, new_of: NDArray[np.int64]) -> Patches:
        """The same picture with patch i part of the new patch `new_of[i]`; the new numbers have no gaps."""
        tones, areas = _pooled(self.tones, self.areas, new_of)
        pairs, lengths = _unique_pairs(new_of[self.pairs], self.lengths)
        return Patches(new_of[self.labels].astype(np.int32), tones, areas, pairs, lengths)


def patches_of(pixels: NDArray[np.uint8]) -> Patches:
    """Cut an (h, w, 3) uint8 RGB picture into some thousand patches whose borders follow the edges of surfaces."""
    smooth = np.asarray(cv2.bilateralFilter(pixels, 5, 25, 3), dtype=np.uint8)
    tones = tones_of(smooth)
    labels = _seeded(tones, max(5, round(max(pixels.shape[:2]) / _PATCHES_A_SIDE)))
    for _ in range(_FIT_ROUNDS):
        labels = _fitted(labels, tones * _FIT_WEIGHTS)
    labels = _without_gaps(labels)
    count = int(labels.max()) + 1
    flat = labels.ravel()
    areas = np.bincount(flat, minlength=count).astype(np.float64)
    means = np.stack([np.bincount(flat, tone.ravel(), minlength=count) for tone in cv2.split(tones)], axis=1)
    pairs, lengths = _borders(labels)
    return Patches(labels, means / areas[:, None], areas, pairs, lengths)


def _seeded(tones: Floats, step: int) -> Labels:
    """A watershed from one seed in each cell of a grid, each put where its cell is smoothest."""
    height, width = tones.shape[:2]
    image = np.clip(tones * np.array(_EDGE_SCALE, np.float32) + np.array([128, 128, 255], np.float32), 0, 255)
    edges = cv2.morphologyEx(image.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(axis=2)
    rows, columns = -(-height // step), -(-width // step)
    # Pixels beyond the border are never the smoothest.
    padded = cv2.copyMakeBorder(
        edges.astype(np.float32), 0, rows * step - height, 0, columns * step - width, cv2.BORDER_CONSTANT, value=1e6
    )
    cells = padded.reshape(rows, step, columns, step).transpose(0, 2, 1, 3).reshape(rows * columns, step * step)
    y, x = np.mgrid[0:step, 0:step] - (step - 1) / 2
    best = np.argmin(cells + np.hypot(y, x).ravel().astype(np.float32), axis=1)
    cell = np.arange(rows * columns)
    markers = np.zeros((height, width), np.int32)
    markers[cell // columns * step + best // step, cell % columns * step + best % step] = cell + 1
    cv2.watershed(cv2.merge([edges, edges, edges]), markers)
    # The watershed leaves lines of -1 between basins and along the border; they go to a neighbour.
    filled = markers.astype(np.float32)
    while (lines := filled <= 0).any():
        filled[lines] = cv2.dilate(filled, np.ones((3, 3), np.uint8))[lines]
    return np.asarray(filled.astype(np.int32) - 1)


def _fitted(labels: Labels, tones: Floats) -> Labels:
    """Border pixels go over to the neighbouring patch whose mean tone is nearest to theirs."""
    height, width = labels.shape
    count = int(labels.max()) + 1
    flat = labels.ravel()
    areas = np.maximum(np.bincount(flat, minlength=count), 1)
    sums = [np.bincount(flat, tone.ravel(), minlength=count) for tone in cv2.split(tones)]
    means = (np.stack(sums, axis=1) / areas[:, None]).astype(np.float32)
    border = np.zeros(labels.shape, np.bool_)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    y, x = np.nonzero(border)
    own = tones[y, x]
    best = labels[y, x]
    cost = ((own - means[best]) ** 2).sum(axis=1)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other = labels[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
        other_cost = ((own - means[other]) ** 2).sum(axis=1)
        better = other_cost < cost - 1e-5
        best, cost = np.where(better, other, best), np.where(better, other_cost, cost)
    fitted = labels.copy()
    fitted[y, x] = best
    return fitted


def _without_gaps(labels: Labels) -> Labels:
    used = np.bincount(labels.ravel()) > 0
    return np.asarray((np.cumsum(used) - 1)[labels], dtype=np.int32)


def _borders(labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    across = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1)
    down = np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1)
    pairs = np.concatenate([across, down]).astype(np.int64)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return _unique_pairs(pairs, np.ones(len(pairs)))


def _unique_pairs(
    pairs: NDArray[np.int64], lengths: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each pair once, smaller number first, with its lengths summed; without pairs of a patch and itself."""
    if not len(pairs):
        return np.empty((0, 2), np.int64), np.empty(0)
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    kept = low != high
    count = int(high.max()) + 1
    codes, inverse = np.unique(low[kept] * count + high[kept], return_inverse=True)
    summed = np.bincount(inverse.ravel(), lengths[kept]).astype(np.float64)
    return np.stack([codes // count, codes % count], axis=1), summed


def _roots(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of `count` patches, the gapless number of the group that `pairs` join it to."""
    parent = np.arange(count)
    while True:
        np.minimum.at(parent, pairs[:, 0], parent[pairs[:, 1]])
        np.minimum.at(parent, pairs[:, 1], parent[pairs[:, 0]])
        jumped = parent[parent]
        if np.array_equal(jumped, parent) and np.array_equal(parent[pairs[:, 0]], parent[pairs[:, 1]]):
            return np.unique(parent, return_inverse=True)[1].ravel()
        parent = jumped


def _pooled(
    tones: NDArray[np.float64], areas: NDArray[np.float64], new_of: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    count = int(new_of.max()) + 1
    pooled = np.bincount(new_of, areas, minlength=count).astype(np.float64)
    sums = np.stack([np.bincount(new_of, tone * areas, minlength=count) for tone in tones.T], axis=1)
    return sums / pooled[:, None], pooled
