"""Numbers of the miniature's results, and means over seeds and scenes with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000

SeedResults = Sequence[Mapping[str, Any]]
"""Contents of `results.json`, one of each seed."""

Values = Sequence[NDArray[np.float64]]
"""A number of every scene, by seed."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and scenes, its 95 % interval, and the mean of each seed."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(seeds: Values) -> Estimate:
    """Estimate the mean of a number of every held-out scene, by seed.

    The interval is the percentile bootstrap's on two levels: seeds are drawn with replacement, then scenes within each
    that was drawn. With three seeds that is coarse, but it counts what differs from one training to the next.
    """
    random = np.random.default_rng(0)
    drawn = np.stack(
        [values[random.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1) for values in seeds]
    )
    means = np.empty((RESAMPLES, len(seeds)))
    for place in range(len(seeds)):
        # Each place takes another draw of scenes, also where one seed comes twice.
        rolled = np.roll(drawn, place * (RESAMPLES // len(seeds)), axis=1)
        means[:, place] = rolled[random.integers(0, len(seeds), RESAMPLES), np.arange(RESAMPLES)]
    low, high = np.percentile(means.mean(axis=1), [2.5, 97.5])
    own = tuple(float(values.mean()) for values in seeds)
    return Estimate(float(np.mean(own)), float(low), float(high), own)


def values(one: Mapping[str, Any], policy: str, limit: str, of: str) -> NDArray[np.float64]:
    """A number of every scene under a limit of turns.

    Args:
        one: Results of one seed.
        policy: Its name.
        limit: Most turns.
        of: A column of the results, or `gave_up`, `asked`, `wrong_absent`.
    """
    under = one["policies"][policy][limit]
    outcomes, absent = under["outcome"], _digits(under["absent"])
    match of:
        case "gave_up":
            return np.array([letter == "G" for letter in outcomes], dtype=np.float64)
        case "asked":
            return np.array([letter == "A" for letter in outcomes], dtype=np.float64)
        case "wrong_absent":
            return np.array([letter == "N" for letter in outcomes], dtype=np.float64) * (1 - absent)
    column = under[of]
    if isinstance(column, str):
        return _digits(column)
    return np.array(column, dtype=np.float64)


def seeds_with(results: SeedResults, *policies: str, limit: str) -> SeedResults:
    """Results of the seeds that have all of these policies under that limit."""
    return [one for one in results if all(limit in one["policies"].get(name, {}) for name in policies)]


def _digits(text: str) -> NDArray[np.float64]:
    return np.array([int(letter, 36) for letter in text], dtype=np.float64)
