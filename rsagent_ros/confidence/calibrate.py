"""Fitting a calibration to answers whose truth is known, and measuring what it is worth on answers it has not seen.

Two kinds, both with few parameters, for a few hundred answers are many:

- `platt`: logistic regression over the evidence (Platt 1999, with his softened targets, here of several numbers), with
  a ridge, by Newton's method.
- `isotonic`: the best rising steps of the raw confidence (Zadrozny and Elkan, KDD 2002), by pooling adjacent violators
  (Ayer et al. 1955; Barlow et al., Statistical Inference under Order Restrictions, 1972).

`auto` takes the kind with the lower Brier score on answers that it was not fitted to; below 500 answers always `platt`,
for steps follow the noise of small sets (Niculescu-Mizil and Caruana, ICML 2005).
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

_ROUNDS = 50


@dataclass(frozen=True)
class Judged:
    """One answer whose truth is known.

    Attributes:
        evidence: Of its mask.
        right: Whether the mask was right.
        overlap: Its IoU with the truth, 0..1.
        policy, segmenter: Whose answer it was.
    """

    evidence: Evidence
    right: bool
    overlap: float = 0.0
    policy: str = ""
    segmenter: str = ""


def calibrate(answers: Sequence[Judged], method: Method = "auto") -> Calibration:
    """Fit a calibration; the same answers give the same one.

    Raises:
        ValueError: Too few answers, or too few of them right or wrong; answers of more than one policy or segmenter.
    """
    whose = {(answer.policy, answer.segmenter) for answer in answers}
    if len(whose) > 1:
        raise ValueError(f"the answers are of {len(whose)} pairs of policy and segmenter; calibrate each by itself")
    right = np.array([answer.right for answer in answers], dtype=np.bool_)
    if len(right) < LEAST or min(right.sum(), (~right).sum()) < LEAST_EACH:
        raise ValueError(
            f"{len(right)} answers with a mask, {right.sum()} of them right: a calibration needs {LEAST}, "
            f"with {LEAST_EACH} right and {LEAST_EACH} wrong; evaluate on more or harder samples"
        )
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
    confidences = np.empty(len(right))
    # Right and wrong answers are dealt in turn, so that each fold has its share of both.
    order = np.concatenate([np.flatnonzero(right), np.flatnonzero(~right)])
    fold = np.empty(len(right), dtype=np.int64)
    fold[order] = np.arange(len(right)) % FOLDS
    for number in range(FOLDS):
        here = fold == number
        confidences[here] = _fit(kind, evidence[~here], right[~here]).confidences(evidence[here])
    return confidences


def vectors(answers: Sequence[Judged]) -> Floats:
    """(n, len(NAMES)) evidence; NaN for what is not known."""
    return np.stack([answer.evidence.vector() for answer in answers])


def brier(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Mean squared distance of confidence and truth: calibration and sharpness in one. Less is better."""
    return float(np.mean((confidence - right) ** 2))


def pool_adjacent_violators(values: Floats, weights: Floats) -> Floats:
    """(n,) the rising sequence nearest to (n,) values in weighted squares: neighbours that fall are averaged."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, total, count = value, weight, 1
        while blocks and blocks[-1][0] >= mean:
            other, more, others = blocks.pop()
            mean, total, count = (mean * total + other * more) / (total + more), total + more, count + others
        blocks.append((mean, total, count))
    return np.repeat([mean for mean, _, _ in blocks], [count for _, _, count in blocks])


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
    """Weights and bias by Newton's method; the ridge is on the weights alone."""
    positive, negative = int(right.sum()), int((~right).sum())
    # Platt's targets: as if one more of each had been seen, so that no confidence becomes 0 or 1.
    target = np.where(right, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = np.column_stack([columns, np.ones(len(columns))])
    penalty = np.diag([*[_RIDGE] * columns.shape[1], 1e-9])
    solution = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        predicted = 1 / (1 + np.exp(-np.clip(design @ solution, -30, 30)))
        slope = design.T @ (predicted - target) + penalty @ solution
        bend = design.T @ (design * (predicted * (1 - predicted))[:, None]) + penalty
        step = np.linalg.solve(bend, slope)
        # A Newton step from far away can overshoot; one of bounded length still gets there.
        step *= min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
        solution -= step
        if np.abs(step).max() < 1e-9:
            break
    return solution[:-1], float(solution[-1])


def _steps(confidence: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Knots and levels of the rising steps; equal confidences are one knot."""
    knots, group = np.unique(confidence, return_inverse=True)
    count = np.bincount(group).astype(np.float64)
    levels = pool_adjacent_violators(np.bincount(group, weights=right) / count, count)
    # Of each step only its ends: linear between them is the same function, in a tenth of the numbers.
    ends = np.ones(len(knots), dtype=np.bool_)
    ends[1:-1] = (levels[1:-1] != levels[:-2]) | (levels[1:-1] != levels[2:])
    return knots[ends], levels[ends]
