"""Figure and ground: which patches of a picture are things, and which belong together as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.baseline.policy.background import barriers
from rsagent_ros.baseline.policy.outlines import solidity
from rsagent_ros.baseline.policy.patches import Labels, Patches, patches_of

_ALIKE = (1.0, 1.0, 0.05)
"""Weights of the tones where patches are joined: chromaticity says more than brightness, which shading changes."""

_SURFACE_LIMIT, _SURFACE_GRAIN = 0.006, 0.02
_THING_LIMIT = 0.06
_STRANGE = 0.045
"""Barrier from which on a patch is no background; between _FAINT and this it takes more evidence."""

_FAINT = 0.018
_WEAK = 0.085
_LOOKS = (1.0, 1.0, 0.1)
_MOST_SIBLINGS = 4
_SMALLEST_SHARE = 1.2e-4
_MOST_FAINT = 6

Groups = NDArray[np.int64]
"""(n,) for each patch, 0 for background or the number of its figure."""


def figures_of(pixels: NDArray[np.uint8]) -> Labels:
    """(h, w) int32: 0 for background, else the number of the figure; of an (h, w, 3) uint8 RGB picture."""
    surfaces = patches_of(pixels)
    surfaces = surfaces.relabelled(surfaces.joined(_ALIKE, _SURFACE_LIMIT, grain=_SURFACE_GRAIN))
    barrier = barriers(surfaces)
    groups = _grouped(surfaces, barrier > _STRANGE)
    groups = _with_faint_parts(surfaces, barrier, groups)
    smallest = max(12.0, _SMALLEST_SHARE * surfaces.labels.size)
    groups = _with_faint_figures(surfaces, barrier, groups, smallest)
    groups = _without_ground(surfaces, groups, smallest)
    groups = _without_pattern(surfaces, barrier, groups)
    return np.asarray(groups[surfaces.labels], dtype=np.int32)


def _grouped(surfaces: Patches, chosen: NDArray[np.bool_], limit: float = _THING_LIMIT) -> Groups:
    """Chosen patches of one colour joined: the faces of a box, the stripes of a ball."""
    joined = surfaces.joined(_ALIKE, limit, among=chosen, careful=True)
    groups = np.zeros(len(chosen), np.int64)
    if chosen.any():
        groups[chosen] = np.unique(joined[chosen], return_inverse=True)[1].ravel() + 1
    return groups


def _with_faint_parts(surfaces: Patches, barrier: NDArray[np.float64], groups: Groups) -> Groups:
    """Faint patches join the figure next to them when they are much more like it than like the ground around them.

    That is the shaded side of a white box in front of a grey wall.
    """
    groups = groups.copy()
    for _ in range(3):
        before = groups.copy()
        for patch in np.flatnonzero((before == 0) & (barrier > _FAINT)):
            near, lengths = surfaces.neighbours(np.arange(len(before)) == patch)
            inside, ground = before[near] > 0, before[near] == 0
            if not inside.any() or not ground.any():
                continue
            steps = surfaces.tones[near] - surfaces.tones[patch]
            to_figure = np.where(inside, np.linalg.norm(steps * _ALIKE, axis=1), np.inf)
            to_ground = np.linalg.norm(steps[ground] * (1.0, 1.0, 0.08), axis=1)
            if to_figure.min() < min(0.05, 0.6 * np.average(to_ground, weights=lengths[ground])):
                groups[patch] = before[near[np.argmin(to_figure)]]
        if np.array_equal(before, groups):
            break
    return groups


def _with_faint_figures(surfaces: Patches, barrier: NDArray[np.float64], groups: Groups, smallest: float) -> Groups:
    """Adds compact faint pieces with a clear border, such as a grey square on white paper.

    What only darkens the ground beside a figure is a shadow; and many such pieces are a pattern of the ground.
    """
    pieces = _grouped(surfaces, (groups == 0) & (barrier > _FAINT), limit=0.03)
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


def _clear_cut(surfaces: Patches, members: NDArray[np.bool_], groups: Groups) -> bool:
    """Whether tone jumps along nearly all of the border of these patches, and not as it does around a shadow."""
    near, lengths = surfaces.neighbours(members)
    steps = surfaces.tones[near] - _tone(surfaces, members)
    colour, brightness = np.linalg.norm(steps[:, :2], axis=1), steps[:, 2]
    jump = (colour > 0.03) | (np.abs(brightness) > 0.22)
    ground = groups[near] == 0
    if not ground.all():
        darker = (colour < 0.045) & (brightness > 0)
        if lengths[ground & darker].sum() > 0.5 * lengths[ground].sum():
            return False
    return bool(lengths[jump].sum() >= 0.85 * lengths.sum())


def _without_ground(surfaces: Patches, groups: Groups, smallest: float) -> Groups:
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
            dull = np.linalg.norm(_tone(surfaces, members)[:2]) < 0.2
            corner = mask[0, 0] or mask[0, -1] or mask[-1, 0] or mask[-1, -1]
            if corner or share > 0.35 or (dull and share > 0.2) or contact > 0.5 * max(mask.shape):
                groups[members] = 0
    return groups


def _without_pattern(surfaces: Patches, barrier: NDArray[np.float64], groups: Groups) -> Groups:
    """Without weak figures that look like much of what is around them: the white squares of a checked cloth."""
    numbers = [number for number in range(1, int(groups.max()) + 1) if (groups == number).any()]
    chosen = {number: groups == number for number in numbers}
    weak = [
        number
        for number, members in chosen.items()
        if np.average(barrier[members], weights=surfaces.areas[members]) < _WEAK
    ]
    tones = np.array([_tone(surfaces, chosen[number]) for number in weak])
    result = groups.copy()
    for number, tone in zip(weak, tones, strict=True):
        alike = np.linalg.norm((surfaces.tones - tone) * _LOOKS, axis=1) < 0.02
        ground = (alike & (groups == 0))[surfaces.labels[_around(chosen[number][surfaces.labels])]]
        siblings = np.linalg.norm((tones - tone) * _LOOKS, axis=1) < 0.03
        if np.count_nonzero(ground) > 0.5 * surfaces.areas[chosen[number]].sum() or siblings.sum() > _MOST_SIBLINGS:
            result[chosen[number]] = 0
    return result


def _tone(surfaces: Patches, members: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(np.average(surfaces.tones[members], axis=0, weights=surfaces.areas[members]))


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A window about three times as large as the mask, around it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    reach = round(1.2 * max(np.ptp(rows), np.ptp(columns)))
    return (
        slice(max(0, rows[0] - reach), rows[-1] + reach),
        slice(max(0, columns[0] - reach), columns[-1] + reach),
    )


def _border_pixels(mask: NDArray[np.bool_]) -> int:
    return sum(int(np.count_nonzero(side)) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
