"""Reliability of confidences: whether they say how often answers are right, and whether they put the wrong ones last.

Over the answers FOUND that have a confidence; `Score.right` says which of them are right. A question and a give-up say
of no mask that it is the answer, so their confidences are neither kept nor missed.

- Reliability and ECE (Guo et al., ICML 2017): ten bins of confidence of equal width; in each, mean confidence against
  the share that is right. ECE is the mean of the gaps, each bin weighed by its answers.
- Risk and coverage (Geifman and El-Yaniv, NeurIPS 2017): the surest answers first; at each coverage, the share of wrong
  ones among those kept. AURC is the mean over all coverages. Answers of equal confidence share their mean risk, so that
  the order of the examples decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.score import Score

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The answers of one range of confidence: low <= confidence < high, the last one with its end.

    Attributes:
        low, high: Of the range.
        count: Answers in it.
        confidence: Their mean; 0 with none.
        right: The share of them that is right; 0 with none.
    """

    low: float
    high: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class ReliabilityDiagram:
    """Reliability of a set of confidences.

    Attributes:
        count: Answers FOUND with a confidence.
        ece: Expected calibration error, 0..1; None without answers.
        aurc: Area under the risk-coverage curve; None without answers. Less is better.
        bins: In order.
        coverage, risk: The curve, point by point; coverage rises to 1.
    """

    count: int
    ece: float | None
    aurc: float | None
    bins: tuple[Bin, ...]
    coverage: tuple[float, ...]
    risk: tuple[float, ...]


def reliability(scores: Sequence[Score]) -> ReliabilityDiagram:
    """Reliability of the answers FOUND that have a confidence."""
    sure = [score for score in scores if score.outcome is Outcome.FOUND and score.confidence is not None]
    confidence = np.array([score.confidence for score in sure], dtype=np.float64)
    right = np.array([score.right for score in sure], dtype=np.bool_)
    bins = _bins(confidence, right)
    if not sure:
        return ReliabilityDiagram(0, None, None, bins, (), ())
    risk = risk_by_coverage(confidence, (~right).astype(np.float64))
    return ReliabilityDiagram(
        len(sure),
        sum(part.count * abs(part.confidence - part.right) for part in bins) / len(sure),
        float(risk.mean()),
        bins,
        tuple((np.arange(len(sure)) + 1.0) / len(sure)),
        tuple(float(value) for value in risk),
    )


def risk_by_coverage(confidence: NDArray[np.float64], risk: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) mean risk of the k surest, for k from 1 to n; of equals, each has the mean risk of all of them."""
    _, group, count = np.unique(-confidence, return_inverse=True, return_counts=True)
    shared = np.bincount(group, weights=risk) / count
    return np.asarray(np.cumsum(np.repeat(shared, count)) / np.arange(1, len(risk) + 1))


def _bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        here = which == number
        count = int(np.count_nonzero(here))
        mean, share = (float(confidence[here].mean()), float(right[here].mean())) if count else (0.0, 0.0)
        found.append(Bin(number / BINS, (number + 1) / BINS, count, mean, share))
    return tuple(found)
