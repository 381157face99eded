"""Quality of confidences on answers whose truth is known: their error, and what a threshold keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.confidence.calibrate import brier
from rsagent_ros.scoring.reliability import risk_by_coverage

Floats = NDArray[np.float64]

BINS = 10
LEVELS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Worth:
    """Figures of one set of confidences.

    Attributes:
        ece: Expected calibration error over ten bins of equal width (Guo et al., ICML 2017); less is better.
        brier: Mean squared error; less is better.
        aurc: Area under the risk-coverage curve, the risk being the share of wrong answers among those kept (Geifman
            and El-Yaniv, NeurIPS 2017); less is better. It knows the order of the answers, not their numbers.
    """

    ece: float
    brier: float
    aurc: float


def worth(confidence: Floats, right: NDArray[np.bool_]) -> Worth:
    """Figures of (n,) confidences and whether the answers were right; n at least 1."""
    risk = risk_by_coverage(confidence, (~right).astype(np.float64))
    return Worth(ece(confidence, right), brier(confidence, right), float(risk.mean()))


def ece(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean gap of confidence and share of right answers over ten bins, by their counts."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=confidence, minlength=BINS) - np.bincount(bins, weights=right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def kept(confidence: Floats, right: NDArray[np.bool_], threshold: float) -> tuple[float, float | None]:
    """Share of the answers that a threshold keeps, and the share of right ones among them; None where it keeps none."""
    here = confidence >= threshold
    return float(here.mean()), float(right[here].mean()) if here.any() else None
