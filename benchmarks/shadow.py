"""Rate of promotions of a candidate that is no better: with a look at every goal, and with the node's interim looks.

The candidate differs from the incumbent by chance alone. gIoU is a mean over goals, so its paired bootstrap is that of
a mean of differences; only that is computed here, with fewer resamples than in a contest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from entry import Entry, at_most, reported
from numpy.typing import NDArray

from rsagent_ros.scoring.intervals import LEVEL
from rsagent_ros.shadow.paired_result import GOALS, SURE

CONTESTS, RESAMPLES = 400, 1000
DOUBLINGS = 5
MOST = GOALS << DOUBLINGS
STEP = 30
"""Goals between two looks of somebody impatient."""

Differences = NDArray[np.float64]


def noisy(random: np.random.Generator) -> Differences:
    """Two policies that are right three times in four, each on goals of its own."""
    first, second = (np.where(random.random(MOST) < 0.75, random.normal(0.85, 0.08, MOST), 0) for _ in range(2))
    return second - first


def alike(random: np.random.Generator) -> Differences:
    """The same answers but for a tenth of the goals, where either is right."""
    return np.where(random.random(MOST) < 0.9, 0, random.choice([-0.85, 0.85], MOST))


def better(differences: Differences, random: np.random.Generator, level: float) -> bool:
    """Whether the interval of their mean lies above 0."""
    count = len(differences)
    means = differences[random.integers(0, count, (RESAMPLES, count))].mean(axis=1)
    return bool(np.percentile(means, 50 * (1 - level)) > 0)


def promoted(kind: Callable[[np.random.Generator], Differences], looks: list[int], level: float = LEVEL) -> float:
    """Share of contests in which one of the looks finds the candidate better."""
    random = np.random.default_rng(0)
    found = 0
    for _ in range(CONTESTS):
        differences = kind(random)
        found += any(better(differences[:count], random, level) for count in looks)
    return 100 * found / CONTESTS


def run() -> list[Entry]:
    """Percent of contests."""
    entries = []
    for kind in (noisy, alike):
        name = f"promoted though no better, {kind.__name__}"
        note = f"{CONTESTS} contests of up to {MOST} goals"
        every, doubling = list(range(GOALS, MOST + 1, STEP)), [GOALS << step for step in range(DOUBLINGS + 1)]
        entries += [
            reported(f"{name}: one look at {MOST} goals", promoted(kind, [MOST]), "%", note),
            at_most(f"{name}: the node's looks", promoted(kind, doubling, SURE), "%", 5.0, note),
            reported(f"{name}: a look every {STEP} goals", promoted(kind, every), "%", note),
        ]
    return entries
