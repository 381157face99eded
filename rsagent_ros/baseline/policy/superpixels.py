"""Superpixels: a picture as a graph of small regions of one surface colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.baseline.tones import FULL, tones_of

Labels = NDArray[np.int32]
Floats = NDArray[np.float64]

ALIKE = (1.0, 1.0, 0.05)
"""Weights of the tones where regions are joined: chromaticity says more than brightness, which shading changes."""

_NOISE = 4.0
"""Grey levels by which the colour of a region may be off, by noise or compression: in the dark that is a lot."""

_EDGE_SCALE = np.array([350.0, 350.0, 90.0], np.float32)
"""Grey levels per unit of tone where edges between surfaces are looked for."""

_FIT_WEIGHTS = np.array([1.0, 1.0, 0.3], np.float32)
_REGIONS_A_SIDE = 80
_FIT_ROUNDS = 3
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


@dataclass(frozen=True, eq=False)
class Superpixels:
    """A picture cut into n regions, as a graph.

    Attributes:
        labels: (h, w) int32, the region of each pixel, 0..n-1.
        tones: (n, 3) mean tone of each.
        areas: (n,) pixels of each.
        pairs: (m, 2) regions that border on each other, smaller first.
        lengths: (m,) pixels along each border.
    """

    labels: Labels
    tones: Floats
    areas: Floats
    pairs: NDArray[np.int64]
    lengths: Floats

    def neighbours(self, members: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Floats]:
        """The regions that border on any of the (n,) chosen ones without being chosen, once for each border.

        Returns:
            Their numbers, and the pixels along each border.
        """
        inside = members[self.pairs]
        border = inside[:, 0] != inside[:, 1]
        outer = np.where(inside[border, 0], self.pairs[border, 1], self.pairs[border, 0])
        return outer, self.lengths[border]

    def tone(self, members: NDArray[np.bool_]) -> Floats:
        """(3,) mean tone of the (n,) chosen regions."""
        return np.asarray(np.average(self.tones[members], axis=0, weights=self.areas[members]))

    def groups(
        self, limit: float, *, grain: float = 0.0, among: NDArray[np.bool_] | None = None, careful: bool = False
    ) -> NDArray[np.int64]:
        """Join neighbours as long as they are alike, the most alike first.

        Args:
            limit: Neighbours whose weighted tones are at least this far apart stay apart.
            grain: Small regions vary more by chance: `grain / sqrt(area)` of the smaller one comes on top of the limit.
            among: (n,) which regions may join at all; None for all.
            careful: In each round only pairs that are each other's nearest join, not every region with its nearest. No
                chain of regions can form then, but there are many more rounds: for few regions.

        Returns:
            (n,) the number of the group that each region belongs to, for `merged`.
        """
        group = np.arange(len(self.areas))
        tones, areas, pairs = self.tones, self.areas, self.pairs
        if among is not None:
            pairs = pairs[among[pairs].all(axis=1)]
        while len(pairs):
            first, second = pairs.T
            distance = np.linalg.norm((tones[first] - tones[second]) * ALIKE, axis=1)
            noise = _NOISE / (FULL * np.exp(np.maximum(tones[first, 2], tones[second, 2])))
            distance /= limit + noise + grain / np.sqrt(np.minimum(areas[first], areas[second]))
            least = np.full(len(areas), np.inf)
            np.minimum.at(least, first, distance)
            np.minimum.at(least, second, distance)
            nearest = np.stack([distance <= least[first], distance <= least[second]])
            join = (distance < 1) & (nearest.all(axis=0) if careful else nearest.any(axis=0))
            if not join.any():
                break
            step = _connected(pairs[join], len(areas))
            group = step[group]
            tones, areas = _pooled(self.tones, self.areas, group)
            pairs, _ = _unique_pairs(step[pairs], np.ones(len(pairs)))
        return group

    def merged(self, group: NDArray[np.int64]) -> Superpixels:
        """The same picture with region i part of the new region `group[i]`; the new numbers have no gaps."""
        tones, areas = _pooled(self.tones, self.areas, group)
        pairs, lengths = _unique_pairs(group[self.pairs], self.lengths)
        return Superpixels(group[self.labels].astype(np.int32), tones, areas, pairs, lengths)


def superpixels_of(pixels: NDArray[np.uint8]) -> Superpixels:
    """Cut an (h, w, 3) uint8 RGB picture into some thousand regions whose borders follow the edges of surfaces."""
    tones = tones_of(np.asarray(cv2.bilateralFilter(pixels, 5, 25, 3), dtype=np.uint8))
    labels = _watershed(tones, max(5, round(max(pixels.shape[:2]) / _REGIONS_A_SIDE)))
    for _ in range(_FIT_ROUNDS):
        labels = _fitted(labels, tones * _FIT_WEIGHTS)
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    across = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], axis=1)
    down = np.stack([labels[:-1].ravel(), labels[1:].ravel()], axis=1)
    pairs, lengths = _unique_pairs(np.concatenate([across, down]).astype(np.int64), np.ones(len(across) + len(down)))
    return Superpixels(labels, *_pooled(tones.reshape(-1, 3), np.ones(labels.size), labels.ravel()), pairs, lengths)


def _watershed(tones: NDArray[np.float32], step: int) -> Labels:
    """A watershed from one seed in each cell of a grid of `step` pixels, each put where its cell is smoothest."""
    height, width = tones.shape[:2]
    image = np.clip(tones * _EDGE_SCALE + np.array([128, 128, 255], np.float32), 0, 255)
    edges = cv2.morphologyEx(image.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(axis=2)
    rows, columns = -(-height // step), -(-width // step)
    # Pixels beyond the border are never the smoothest.
    padded = np.pad(edges.astype(np.float32), ((0, -height % step), (0, -width % step)), constant_values=1e6)
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


def _fitted(labels: Labels, tones: NDArray[np.float32]) -> Labels:
    """Border pixels go over to the neighbouring region whose mean tone is nearest to theirs."""
    height, width = labels.shape
    means = _pooled(tones.reshape(-1, 3), np.ones(labels.size), labels.ravel())[0].astype(np.float32)
    exact = labels.astype(np.float32)
    y, x = np.nonzero(cv2.dilate(exact, _CROSS) != cv2.erode(exact, _CROSS))
    own, best = tones[y, x], labels[y, x]
    cost = ((own - means[best]) ** 2).sum(axis=1)
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other = labels[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)]
        other_cost = ((own - means[other]) ** 2).sum(axis=1)
        better = other_cost < cost - 1e-5
        best, cost = np.where(better, other, best), np.where(better, other_cost, cost)
    fitted = labels.copy()
    fitted[y, x] = best
    return fitted


def _unique_pairs(pairs: NDArray[np.int64], lengths: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Each pair once, smaller number first, with its lengths summed; without pairs of a region and itself."""
    pairs, lengths = np.sort(pairs, axis=1)[(kept := pairs[:, 0] != pairs[:, 1])], lengths[kept]
    if not len(pairs):
        return pairs, lengths
    count = int(pairs.max()) + 1
    codes, inverse = np.unique(pairs @ [count, 1], return_inverse=True)
    return np.stack([codes // count, codes % count], axis=1), np.asarray(np.bincount(inverse, lengths), np.float64)


def _connected(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The number of the group that each of `count` regions is in, where pairs hold groups together.

    As `scipy.sparse.csgraph.connected_components` numbers them; importing that costs a robot 35 MB and half a second.
    """
    smallest = np.arange(count)
    while True:
        least = smallest[pairs].min(axis=1)
        joined = smallest.copy()
        np.minimum.at(joined, smallest[pairs].ravel(), np.repeat(least, 2))
        joined = joined[joined]
        if np.array_equal(joined, smallest):
            return np.asarray(np.unique(joined, return_inverse=True)[1], dtype=np.int64)
        smallest = joined


def _pooled(tones: NDArray[np.floating], areas: Floats, group: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Mean tones and summed areas by group; a number that is not used has area 0 and tone 0."""
    pooled = np.asarray(np.bincount(group, areas), np.float64)
    sums = np.stack([np.bincount(group, tone * areas) for tone in tones.T], axis=1)
    return sums / np.maximum(pooled, 1e-9)[:, None], pooled
