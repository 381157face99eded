"""Share of candidates that are no better and yet promoted: by one look at the end, and by a look at every step.

The candidate differs from the incumbent by chance alone. A mean value's paired bootstrap is that of a mean of
differences; only that is computed here, with fewer resamples than in a comparison. A fifth of the goals are absent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from entry import Entry, reported
from numpy.typing import NDArray

from rsagent_ros.scoring.intervals import LEVEL
from rsagent_ros.shadow.paired_result import GOALS, MARGIN

COMPARISONS, RESAMPLES = 400, 1000
MOST = 960
STEP = 30
"""Goals between two looks of somebody impatient."""

ABSENT = 5
"""Every so many goals are absent."""

Differences = NDArray[np.float64]


def noisy(random: np.random.Generator) -> Differences:
    """Two policies that are right three times in four, each on goals of its own."""
    first, second = (np.where(random.random(MOST) < 0.75, random.normal(0.85, 0.08, MOST), 0) for _ in range(2))
    return second - first


def alike(random: np.random.Generator) -> Differences:
    """The same answers but for a tenth of the goals, where either is right."""
    return np.where(random.random(MOST) < 0.9, 0, random.choice([-0.85, 0.85], MOST))


def lowest(differences: Differences, random: np.random.Generator) -> float:
    """Lower end of the interval of their mean."""
    count = len(differences)
    means = differences[random.integers(0, count, (RESAMPLES, count))].mean(axis=1)
    return float(np.percentile(means, 50 * (1 - LEVEL)))


def promotable(differences: Differences, random: np.random.Generator) -> bool:
    """Whether the gain is clear, and neither present nor absent goals may be worse."""
    absent = np.arange(len(differences)) % ABSENT == 0
    return lowest(differences, random) > 0 and all(
        lowest(differences[kind], random) > -MARGIN for kind in (absent, ~absent)
    )


def promoted(kind: Callable[[np.random.Generator], Differences], looks: list[int]) -> float:
    """Share of comparisons in which one of the looks finds the candidate better."""
    random = np.random.default_rng(0)
    found = 0
    for _ in range(COMPARISONS):
        differences = kind(random)
        found += any(promotable(differences[:count], random) for count in looks)
    return 100 * found / COMPARISONS


def run() -> list[Entry]:
    """Percent of comparisons."""
    entries = []
    for kind in (noisy, alike):
        name = f"promoted though no better, {kind.__name__}"
        note = f"{COMPARISONS} comparisons of up to {MOST} goals"
        every = list(range(GOALS, MOST + 1, STEP))
        entries += [
            reported(f"{name}: one look at {MOST} goals", promoted(kind, [MOST]), "%", note),
            reported(f"{name}: a look every {STEP} goals", promoted(kind, every), "%", note),
        ]
    return entries
