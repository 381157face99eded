"""95 % intervals: Wilson's for rates, the percentile bootstrap for means, cIoU and differences; none of one example.

Wilson (1927): it stays within 0..1 and keeps its width where all of a few examples agree; the bootstrap would say
"1.000 to 1.000" there. Bootstrap (Efron 1979): the examples are drawn again, with replacement. For the difference of
two runs the same examples are drawn from both (paired): what makes an example hard then cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.scoring.metrics import RATIOS, parts
from rsagent_ros.scoring.score import Score

RESAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 250

Parts = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval.

    Attributes:
        value: Of the examples as they are; None where none counts.
        low, high: Ends of the interval; None where fewer than two examples count.
        over: Sum of the denominators: how many examples (for cIoU, pixels) it is over.
    """

    value: float | None
    low: float | None
    high: float | None
    over: float

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside the interval of a difference."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def intervals(scores: Sequence[Score], seed: int, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Each ratio with its 95 % interval."""
    found = _bootstrap([parts(scores)], seed, resamples)
    for name, ratio in RATIOS.items():
        one = found[name]
        if ratio.rate and one.value is not None and one.over > 1:
            found[name] = Interval(one.value, *wilson(round(one.value * one.over), round(one.over)), one.over)
    return found


def paired(a: Sequence[Score], b: Sequence[Score], seed: int, resamples: int = RESAMPLES) -> dict[str, Interval]:
    """Each ratio of b less that of a, with its 95 % interval, from one set of draws for both.

    Raises:
        ValueError: The two are not of the same examples in the same order.
    """
    if [score.id for score in a] != [score.id for score in b]:
        raise ValueError("a paired comparison needs the same examples in the same order")
    return _bootstrap([parts(a), parts(b)], seed, resamples)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a rate, within 0..1; `count` at least 1."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    rate, weight = hits / count, z**2 / count
    centre = (rate + weight / 2) / (1 + weight)
    half = math.sqrt(rate * (1 - rate) * weight + (weight / 2) ** 2) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def _bootstrap(runs: list[Parts], seed: int, resamples: int) -> dict[str, Interval]:
    count = len(runs[0][0])
    whole = _figure(runs, np.ones((1, count)))[0]
    draws = _draws(count, seed, resamples) if count else [np.ones((1, 0))]
    drawn = np.concatenate([_figure(runs, weights) for weights in draws])
    tails = (50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL))
    found = {}
    for column, name in enumerate(RATIOS):
        kept = drawn[:, column]
        kept = kept[np.isfinite(kept)]
        counting = min(int(np.count_nonzero(over[:, column])) for _, over in runs)
        # A rate over a handful of examples may be without any in some resamples; the others tell enough.
        enough = counting > 1 and len(kept) > len(drawn) / 2
        low, high = np.percentile(kept, tails).tolist() if enough else (None, None)
        value = float(whole[column]) if np.isfinite(whole[column]) else None
        found[name] = Interval(value, low, high, float(runs[0][1][:, column].sum()))
    return found


def _draws(count: int, seed: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """Counts of each example's draws, (resamples, examples) in chunks: 10,000 by 10,000 at once would be 800 MB."""
    random = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        drawn = random.integers(0, count, (min(_CHUNK, resamples - start), count))
        yield np.stack([np.bincount(one, minlength=count) for one in drawn]).astype(np.float64)


def _figure(runs: list[Parts], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(resamples, ratios): the ratio of one run, or that of the second less that of the first."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = [(weights @ value) / (weights @ over) for value, over in runs]
    return ratios[0] if len(ratios) == 1 else ratios[1] - ratios[0]
