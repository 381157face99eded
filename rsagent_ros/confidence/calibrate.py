"""Fitting a calibration to answers whose truth is known, and predicting answers that it was not fitted to.

Two kinds, both with few parameters, for a few hundred answers are many; scikit-learn fits them:

- `platt`: logistic regression over the evidence (Platt 1999, with his softened targets, here of several numbers), with
  a ridge.
- `isotonic`: the best rising steps of the raw confidence (Zadrozny and Elkan, KDD 2002).

`auto` takes the kind with the lower Brier score out of fold; below 500 answers always `platt`, for steps follow the
noise of small sets (Niculescu-Mizil and Caruana, ICML 2005). Applying a calibration needs no scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.confidence.calibration import Calibration, Kind, raw_confidence
from rsagent_ros.confidence.evidence import NAMES, Evidence

Method = Literal["auto", "platt", "isotonic"]
Floats = NDArray[np.float64]

KINDS: tuple[Kind, ...] = ("platt", "isotonic")
LEAST = 20
"""Answers, and at least LEAST_EACH of them right and as many wrong, below which nothing is fitted."""

LEAST_EACH = 5
STEPS_FROM = 500
"""Answers from which on `auto` considers isotonic."""

FOLDS = 5
_RIDGE = 10.0
"""As if ten answers had said that no evidence tells anything: with a hundred answers weights stay small."""


@dataclass(frozen=True)
class JudgedAnswer:
    """One answer whose truth is known.

    Attributes:
        evidence: Of its mask.
        right: Whether its mask was, see `judged`.
        policy, segmenter: Whose answer it was.
    """

    evidence: Evidence
    right: bool
    policy: str = ""
    segmenter: str = ""


def calibrate(answers: Sequence[JudgedAnswer], method: Method = "auto") -> Calibration:
    """Fit a calibration; the same answers give the same one.

    Raises:
        ValueError: Too few answers, or too few of them right or wrong; answers of more than one policy or segmenter;
            scikit-learn is not installed.
    """
    whose = {(answer.policy, answer.segmenter) for answer in answers}
    if len(whose) > 1:
        raise ValueError(f"the answers are of {len(whose)} pairs of policy and segmenter; calibrate each by itself")
    right = np.array([answer.right for answer in answers], dtype=np.bool_)
    if len(right) < LEAST or min(right.sum(), (~right).sum()) < LEAST_EACH:
        raise ValueError(
            f"{len(right)} answers FOUND, {right.sum()} of them right: a calibration needs {LEAST}, "
            f"with {LEAST_EACH} right and {LEAST_EACH} wrong; evaluate on more or harder samples"
        )
    try:
        import sklearn  # noqa: F401  # all that follows needs it
    except ImportError as error:
        raise ValueError(
            f"fitting a calibration needs scikit-learn ({error}); in the checkout: pip install -e '.[evaluation]'"
        ) from error
    evidence = vectors(answers)
    kind = best_kind(evidence, right) if method == "auto" else method
    policy, segmenter = next(iter(whose))
    return _fit(kind, evidence, right, policy, segmenter)


def best_kind(evidence: Floats, right: NDArray[np.bool_]) -> Kind:
    """Platt for few answers; else the kind with the lower Brier score out of fold, of equals platt."""
    if len(right) < STEPS_FROM:
        return "platt"
    return min(KINDS, key=lambda kind: brier(out_of_fold(evidence, right, kind), right))


def out_of_fold(evidence: Floats, right: NDArray[np.bool_], kind: Kind) -> Floats:
    """(n,) confidences, each from a calibration that was fitted to the other folds."""
    from sklearn.model_selection import StratifiedKFold

    confidences = np.empty(len(right))
    for rest, fold in StratifiedKFold(FOLDS).split(evidence, right):
        confidences[fold] = _fit(kind, evidence[rest], right[rest]).confidences(evidence[fold])
    return confidences


def vectors(answers: Sequence[JudgedAnswer]) -> Floats:
    """(n, len(NAMES)) evidence; NaN for what is not known."""
    return np.stack([answer.evidence.vector() for answer in answers])


def brier(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Mean squared distance of confidence and truth: calibration and sharpness in one. Less is better."""
    return float(np.mean((confidence - right) ** 2))


def _fit(kind: Kind, evidence: Floats, right: NDArray[np.bool_], policy: str = "", segmenter: str = "") -> Calibration:
    known = ~np.isnan(evidence)
    usual = np.where(known, evidence, 0.0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
    filled = np.where(known, evidence, usual)
    centre, spread = filled.mean(axis=0), filled.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    weights, bias = np.zeros(len(NAMES)), 0.0
    knots, levels = np.empty(0), np.empty(0)
    if kind == "platt":
        weights, bias = _logistic((filled - centre) / scale, right)
    else:
        knots, levels = _steps(raw_confidence(filled), right)
    return Calibration(
        kind=kind,
        names=NAMES,
        usual=tuple(usual.tolist()),
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(weights.tolist()),
        bias=bias,
        knots=tuple(knots.tolist()),
        levels=tuple(levels.tolist()),
        count=len(right),
        right=float(right.mean()),
        policy=policy,
        segmenter=segmenter,
    )


def _logistic(columns: Floats, right: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Weights and bias; the ridge is on the weights alone."""
    from sklearn.linear_model import LogisticRegression

    positive, negative = int(right.sum()), int((~right).sum())
    # Platt's targets: as if one more of each had been seen, so that no confidence becomes 0 or 1. scikit-learn takes
    # no targets between 0 and 1, but each answer twice: as right and as wrong, weighed by its target.
    target = np.where(right, (positive + 1) / (positive + 2), 1 / (negative + 2))
    model = LogisticRegression(C=1 / _RIDGE, solver="newton-cholesky", tol=1e-9)
    model.fit(
        np.concatenate([columns, columns]),
        np.repeat([1, 0], len(columns)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    return np.asarray(model.coef_[0]), float(model.intercept_[0])


def _steps(confidence: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Knots and levels of the rising steps, linear between; equal confidences are one knot."""
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression().fit(confidence, right)
    return steps.X_thresholds_, steps.y_thresholds_
