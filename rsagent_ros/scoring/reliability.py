"""What the confidence of an answer is worth: does it say how often answers are right, does it put the bad ones last?

Over the answers that have a mask and a confidence. An answer counts as right from an IoU of 0.5 on; a mask of what is
not there is wrong.

- Reliability and ECE (Guo et al., ICML 2017): ten bins of confidence of equal width; in each, mean confidence against
  the share that is right. ECE is the mean of the gaps, each bin weighed by its samples.
- Risk and coverage (Geifman and El-Yaniv, NeurIPS 2017): the surest answers first; at each coverage, the mean of 1 -
  IoU of those kept. AURC is the mean over all coverages. Answers of equal confidence share their mean risk, so that
  the order of the samples decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.scoring.score import MATCH_IOU, Row

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
    """How good the confidences are.

    Attributes:
        count: Answers with a mask and a confidence.
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


def calibration(rows: Sequence[Row]) -> ReliabilityDiagram:
    """Of the rows that have a mask and a confidence."""
    sure = [row for row in rows if row.confidence is not None]
    confidence = np.array([row.confidence for row in sure], dtype=np.float64)
    overlap = np.array([row.iou for row in sure], dtype=np.float64)
    bins = _bins(confidence, overlap >= MATCH_IOU)
    if not sure:
        return ReliabilityDiagram(0, None, None, bins, (), ())
    risk = risk_by_coverage(confidence, 1 - overlap)
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
