"""Which patches are background: those that can be reached from the picture's border without a jump in tone.

The measure is the barrier of a path, the range of tones along it, and a patch's is that of its best path (the "minimum
barrier distance" of salient object detection). A table whose grain varies a little has a low barrier everywhere,
however far it reaches; a thing on it has a high one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.baseline.policy.patches import Patches

BRIGHTER = 0.10
DARKER = 0.04
"""Weights of log brightness: shadows darken, so darker says less than brighter."""


def barriers(surfaces: Patches) -> NDArray[np.float64]:
    """(n,) how different each patch is from the background, 0 for background itself.

    Each side of the picture gives one answer, and the second best counts: a thing that one side cuts off has a path
    without a barrier to that side alone, a table reaches two or more.
    """
    neighbours: list[list[int]] = [[] for _ in surfaces.areas]
    for first, second in surfaces.pairs.tolist():
        neighbours[first].append(second)
        neighbours[second].append(first)
    tones = [(float(a), float(b), float(c)) for a, b, c in surfaces.tones]
    labels = surfaces.labels
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    return np.sort([_from(np.unique(side).tolist(), tones, neighbours) for side in sides], axis=0)[1]


def _from(seeds: Iterable[int], tones: list[tuple[float, float, float]], neighbours: list[list[int]]) -> list[float]:
    """The barrier of the best path from any of the seeds to each patch, found greedily as in Dijkstra's algorithm."""
    best = [np.inf] * len(tones)
    ranges: dict[int, tuple[float, ...]] = {}
    open_ones: list[tuple[float, int]] = []
    for seed in seeds:
        best[seed] = 0.0
        ranges[seed] = (*tones[seed], *tones[seed], tones[seed][2])
        open_ones.append((0.0, seed))
    closed: set[int] = set()
    while open_ones:
        _, here = heapq.heappop(open_ones)
        if here in closed:
            continue
        closed.add(here)
        u0, v0, l0, u1, v1, l1, start = ranges[here]
        for there in neighbours[here]:
            if there in closed:
                continue
            u, v, light = tones[there]
            low_u, low_v, low_l = min(u0, u), min(v0, v), min(l0, light)
            high_u, high_v, high_l = max(u1, u), max(v1, v), max(l1, light)
            brightness = BRIGHTER * (high_l - start) + DARKER * (start - low_l)
            barrier = ((high_u - low_u) ** 2 + (high_v - low_v) ** 2 + brightness**2) ** 0.5
            if barrier < best[there]:
                best[there] = barrier
                ranges[there] = (low_u, low_v, low_l, high_u, high_v, high_l, start)
                heapq.heappush(open_ones, (barrier, there))
    return best
