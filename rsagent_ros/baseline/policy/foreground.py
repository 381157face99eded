"""Foreground segmentation: which superpixels of a picture are objects, and which belong together as one.

Background is what can be reached from two sides of the picture without a jump in tone. The measure is the minimum
barrier distance of salient object detection: the range of tones along a path, for the best path. A table whose grain
varies a little has a low barrier everywhere, however far it reaches; an object on it has a high one.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.shapes import solidity
from rsagent_ros.baseline.policy.superpixels import ALIKE, Labels, Superpixels, superpixels_of

_SURFACE_LIMIT, _SURFACE_GRAIN = 0.006, 0.02
_BRIGHTER, _DARKER = 0.10, 0.04
"""Weights of log brightness in a barrier: shadows darken, so darker says less than brighter."""

_FOREGROUND = 0.045
"""Barrier from which on a region is no background; between _FAINT and this it takes more evidence."""

_FAINT = 0.018
_WEAK = 0.085
_OBJECT_LIMIT, _FAINT_LIMIT = 0.06, 0.03
_LOOKS = (1.0, 1.0, 0.1)
_MOST_SIBLINGS = 4
_MOST_FAINT = 6
_SMALLEST_SHARE = 1.2e-4

Groups = NDArray[np.int64]
"""(n,) for each superpixel, 0 for background or the number of its object."""


def foreground_of(pixels: NDArray[np.uint8]) -> Labels:
    """(h, w) int32: 0 for background, else the number of the object; of an (h, w, 3) uint8 RGB picture."""
    surfaces = superpixels_of(pixels)
    surfaces = surfaces.merged(surfaces.groups(_SURFACE_LIMIT, grain=_SURFACE_GRAIN))
    barrier = _barriers(surfaces)
    smallest = max(12.0, _SMALLEST_SHARE * surfaces.labels.size)
    groups = _grouped(surfaces, barrier > _FOREGROUND, _OBJECT_LIMIT)
    groups = _with_faint_parts(surfaces, barrier, groups)
    groups = _with_faint_objects(surfaces, barrier, groups, smallest)
    groups = _without_ground(surfaces, groups, smallest)
    groups = _without_pattern(surfaces, barrier, groups)
    return np.asarray(groups[surfaces.labels], dtype=np.int32)


def _barriers(surfaces: Superpixels) -> NDArray[np.float64]:
    """(n,) how different each region is from the background, 0 for background itself.

    Each side of the picture gives one answer, and the second best counts: an object that one side cuts off has a path
    without a barrier to that side alone, a table reaches two or more.
    """
    neighbours: list[list[int]] = [[] for _ in surfaces.areas]
    for first, second in surfaces.pairs.tolist():
        neighbours[first].append(second)
        neighbours[second].append(first)
    labels = surfaces.labels
    sides = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    tones = [(float(u), float(v), float(light)) for u, v, light in surfaces.tones]
    return np.sort([_barriers_from(np.unique(side).tolist(), tones, neighbours) for side in sides], axis=0)[1]


def _barriers_from(
    starts: list[int], tones: list[tuple[float, float, float]], neighbours: list[list[int]]
) -> list[float]:
    """The barrier of the best path from any of the starts to each region, found greedily as in Dijkstra's algorithm."""
    best = [np.inf] * len(tones)
    ranges: dict[int, tuple[float, ...]] = {}
    queue: list[tuple[float, int]] = []
    for start in starts:
        best[start] = 0.0
        ranges[start] = (*tones[start], *tones[start], tones[start][2])
        queue.append((0.0, start))
    closed: set[int] = set()
    while queue:
        _, here = heapq.heappop(queue)
        if here in closed:
            continue
        closed.add(here)
        u0, v0, l0, u1, v1, l1, first = ranges[here]
        for there in neighbours[here]:
            if there in closed:
                continue
            u, v, light = tones[there]
            low_u, low_v, low_l = min(u0, u), min(v0, v), min(l0, light)
            high_u, high_v, high_l = max(u1, u), max(v1, v), max(l1, light)
            brightness = _BRIGHTER * (high_l - first) + _DARKER * (first - low_l)
            barrier = ((high_u - low_u) ** 2 + (high_v - low_v) ** 2 + brightness**2) ** 0.5
            if barrier < best[there]:
                best[there] = barrier
                ranges[there] = (low_u, low_v, low_l, high_u, high_v, high_l, first)
                heapq.heappush(queue, (barrier, there))
    return best


def _grouped(surfaces: Superpixels, chosen: NDArray[np.bool_], limit: float) -> Groups:
    """Chosen regions of one colour joined: the faces of a box, the stripes of a ball."""
    joined = surfaces.groups(limit, among=chosen, careful=True)
    groups = np.zeros(len(chosen), np.int64)
    groups[chosen] = np.unique(joined[chosen], return_inverse=True)[1] + 1
    return groups


def _with_faint_parts(surfaces: Superpixels, barrier: NDArray[np.float64], groups: Groups) -> Groups:
    """Faint regions join the object next to them when they are much more like it than like the ground around them.

    That is the shaded side of a white box in front of a grey wall.
    """
    for _ in range(3):
        before, groups = groups, groups.copy()
        for region in np.flatnonzero((before == 0) & (barrier > _FAINT)):
            near, lengths = surfaces.neighbours(np.arange(len(before)) == region)
            inside, ground = before[near] > 0, before[near] == 0
            if not inside.any() or not ground.any():
                continue
            steps = surfaces.tones[near] - surfaces.tones[region]
            to_object = np.where(inside, np.linalg.norm(steps * ALIKE, axis=1), np.inf)
            to_ground = np.linalg.norm(steps[ground] * (1.0, 1.0, 0.08), axis=1)
            if to_object.min() < min(0.05, 0.6 * np.average(to_ground, weights=lengths[ground])):
                groups[region] = before[near[np.argmin(to_object)]]
        if np.array_equal(before, groups):
            break
    return groups


def _with_faint_objects(surfaces: Superpixels, barrier: NDArray[np.float64], groups: Groups, smallest: float) -> Groups:
    """Adds compact faint pieces with a clear border, such as a grey square on white paper.

    What only darkens the ground beside an object is a shadow; and many such pieces are a pattern of the ground.
    """
    pieces = _grouped(surfaces, (groups == 0) & (barrier > _FAINT), _FAINT_LIMIT)
    found = []
    for number in range(1, int(pieces.max()) + 1):
        members = pieces == number
        if surfaces.areas[members].sum() < 2 * smallest or not _clear_cut(surfaces, members, groups):
            continue
        mask = members[surfaces.labels]
        if not _border_pixels(mask) and solidity(mask) > 0.88:
            found.append(members)
    groups = groups.copy()
    if len(found) <= _MOST_FAINT:
        for members in found:
            groups[members] = groups.max() + 1
    return groups


def _clear_cut(surfaces: Superpixels, members: NDArray[np.bool_], groups: Groups) -> bool:
    """Whether tone jumps along nearly all of the border of these regions, and not as it does around a shadow."""
    near, lengths = surfaces.neighbours(members)
    steps = surfaces.tones[near] - surfaces.tone(members)
    colour, brightness = np.linalg.norm(steps[:, :2], axis=1), steps[:, 2]
    jump = (colour > 0.03) | (np.abs(brightness) > 0.22)
    ground = groups[near] == 0
    if not ground.all():
        darker = (colour < 0.045) & (brightness > 0)
        if lengths[ground & darker].sum() > 0.5 * lengths[ground].sum():
            return False
    return bool(lengths[jump].sum() >= 0.85 * lengths.sum())


def _without_ground(surfaces: Superpixels, groups: Groups, smallest: float) -> Groups:
    """Without noise, and without pieces of floor or wall that the picture's border cuts off."""
    groups = groups.copy()
    for number in range(1, int(groups.max()) + 1):
        members = groups == number
        if surfaces.areas[members].sum() < smallest:
            groups[members] = 0
            continue
        mask = members[surfaces.labels]
        contact = _border_pixels(mask)
        if contact:
            share = contact / (contact + surfaces.neighbours(members)[1].sum())
            dull = np.linalg.norm(surfaces.tone(members)[:2]) < 0.2
            corner = mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
            if corner or share > 0.35 or (dull and share > 0.2) or contact > 0.5 * max(mask.shape):
                groups[members] = 0
    return groups


def _without_pattern(surfaces: Superpixels, barrier: NDArray[np.float64], groups: Groups) -> Groups:
    """Without weak objects that look like much of their surroundings: the white squares of a checked cloth."""
    chosen = [groups == number for number in np.unique(groups[groups > 0])]
    weak = [one for one in chosen if np.average(barrier[one], weights=surfaces.areas[one]) < _WEAK]
    tones = np.array([surfaces.tone(members) for members in weak])
    result = groups.copy()
    for members, tone in zip(weak, tones, strict=True):
        alike = np.linalg.norm((surfaces.tones - tone) * _LOOKS, axis=1) < 0.02
        ground = (alike & (groups == 0))[surfaces.labels[_around(members[surfaces.labels])]]
        siblings = np.linalg.norm((tones - tone) * _LOOKS, axis=1) < 0.03
        if np.count_nonzero(ground) > 0.5 * surfaces.areas[members].sum() or siblings.sum() > _MOST_SIBLINGS:
            result[members] = 0
    return result


def _around(mask: Mask) -> tuple[slice, slice]:
    """The part of the picture around a mask, about three times as large."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    reach = round(1.2 * max(np.ptp(rows), np.ptp(columns)))
    return (
        slice(max(0, rows[0] - reach), rows[-1] + reach),
        slice(max(0, columns[0] - reach), columns[-1] + reach),
    )


def _border_pixels(mask: Mask) -> int:
    return sum(int(np.count_nonzero(side)) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
