"""Percentile intervals of the ratios by the bootstrap (Efron 1979): samples are drawn again, with replacement.

For two runs the same samples are drawn from both (paired): what makes a sample hard then cancels out, and the interval
is that of the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.scoring.metrics import RATIOS, parts
from rsagent_ros.scoring.score import Row

RESAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 250

Parts = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """A value and where it may lie.

    Attributes:
        value: Of the samples as they are; None where no sample counts.
        low, high: Of the interval; None where most resamples had no sample that counts.
        over: Sum of the denominators: how many samples (for cIoU, pixels) it is over.
    """

    value: float | None
    low: float | None
    high: float | None
    over: float

    @property
    def clear(self) -> bool:
        """Of a difference: whether 0 lies outside."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def intervals(rows: Sequence[Row], seed: int, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Each ratio with its 95 % interval."""
    return _intervals([parts(rows)], seed, resamples)


def paired(
    a: Sequence[Row], b: Sequence[Row], seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> dict[str, Interval]:
    """Each ratio of b less that of a, with its interval (95 % by default), from one set of draws for both.

    Raises:
        ValueError: The two are not of the same samples in the same order.
    """
    if [row.id for row in a] != [row.id for row in b]:
        raise ValueError("a paired comparison needs the same samples in the same order")
    return _intervals([parts(a), parts(b)], seed, resamples, level)


def _intervals(runs: list[Parts], seed: int, resamples: int, level: float = LEVEL) -> dict[str, Interval]:
    count = len(runs[0][0])
    whole = _figure(runs, np.ones((1, count)))[0]
    draws = _draws(count, seed, resamples) if count else [np.ones((1, 0))]
    drawn = np.concatenate([_figure(runs, weights) for weights in draws])
    found = {}
    for column, name in enumerate(RATIOS):
        kept = drawn[:, column]
        kept = kept[np.isfinite(kept)]
        # A rate over a handful of samples may be without any in some resamples; the others tell enough.
        tails = (50 * (1 - level), 100 - 50 * (1 - level))
        low, high = np.percentile(kept, tails).tolist() if len(kept) > len(drawn) / 2 else (None, None)
        value = float(whole[column]) if np.isfinite(whole[column]) else None
        found[name] = Interval(value, low, high, float(runs[0][1][:, column].sum()))
    return found


def _draws(count: int, seed: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """How often each sample was drawn, (resamples, samples) in chunks: 10,000 by 10,000 at once would be 800 MB."""
    random = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        drawn = random.integers(0, count, (min(_CHUNK, resamples - start), count))
        yield np.stack([np.bincount(one, minlength=count) for one in drawn]).astype(np.float64)


def _figure(runs: list[Parts], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(resamples, ratios): the ratio of one run, or that of the second less that of the first."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = [(weights @ value) / (weights @ over) for value, over in runs]
    return ratios[0] if len(ratios) == 1 else ratios[1] - ratios[0]
