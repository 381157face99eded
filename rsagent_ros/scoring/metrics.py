"""Figures of many scores. Every figure is a ratio of two sums over the examples, and `RATIOS` is all of them.

That one form gives the value, the number of examples it is over, tables by category, and bootstrap intervals alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import EXPECTED
from rsagent_ros.scoring.matching import MATCH_IOU
from rsagent_ros.scoring.score import WRONG_OBJECT_IOU, Score

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

Part = Callable[[Score], float]
T = TypeVar("T")


@dataclass(frozen=True)
class Ratio:
    """One figure.

    Attributes:
        title: As tables call it.
        meaning: One clause.
        over: The denominator: how much each example counts.
        value: The numerator; asked only of examples that count.
        better: Whether more is better (1) or less is (-1); 0 where it is neither.
        rate: A share of examples, each of which counts whole or not at all.
    """

    title: str
    meaning: str
    over: Part
    value: Part
    better: int = 1
    rate: bool = False


def _every(_: Score) -> float:
    return 1.0


def _present(score: Score) -> float:
    return float(score.present)


def _absent(score: Score) -> float:
    return float(not score.present)


def _clear(score: Score) -> float:
    return float(score.expected is not Outcome.AMBIGUOUS)


def _ambiguous(score: Score) -> float:
    return float(score.expected is Outcome.AMBIGUOUS)


def _with_first(score: Score) -> float:
    return float(score.first_iou is not None)


def _first_wrong(score: Score) -> float:
    return float(score.first_iou is not None and score.first_iou < MATCH_IOU)


def _first_right(score: Score) -> float:
    return float(score.first_iou is not None and score.first_iou >= MATCH_IOU)


def _rate(title: str, meaning: str, over: Part, holds: Callable[[Score], bool], better: int = 1) -> Ratio:
    return Ratio(title, meaning, over, lambda score: float(holds(score)), better, rate=True)


def _precision(threshold: float) -> Ratio:
    meaning = f"share of present targets with an IoU of {threshold:g} or more"
    return _rate(f"P@{threshold:g}", meaning, _present, lambda score: score.iou >= threshold)


RATIOS: dict[str, Ratio] = {
    "giou": Ratio("gIoU", "mean IoU of all examples", _every, lambda score: score.iou),
    "ciou": Ratio(
        "cIoU", "sum of intersections over sum of unions", lambda score: score.union, lambda score: score.intersection
    ),
    "value": Ratio(
        "value",
        "mean worth of the answers, by the table of docs/evaluation.md",
        lambda score: float(not math.isnan(score.value)),
        lambda score: score.value,
    ),
    "right": _rate("right", "right outcome, with an IoU or F1 of 0.5 or more", _every, lambda score: score.right),
    **{f"p{round(100 * threshold)}": _precision(threshold) for threshold in THRESHOLDS},
    "boundary_f": Ratio("boundary F", "mean over present targets", _present, lambda score: score.boundary_f or 0.0),
    "n_acc": _rate(
        "N-acc", "absent targets answered without a mask", _absent, lambda score: score.answered and not score.masked
    ),
    "n_acc_strict": _rate(
        "strict N-acc",
        "absent targets answered NOT_IN_VIEW",
        _absent,
        lambda score: score.outcome is Outcome.NOT_IN_VIEW,
    ),
    "t_acc": _rate("T-acc", "present targets answered with a mask", _present, lambda score: score.masked),
    "outcome_accuracy": _rate(
        "outcome accuracy", "ended as expected, whatever the masks are", _every, lambda score: score.ended_as_expected
    ),
    "wrong_object": _rate(
        "wrong object",
        f"answered FOUND with an IoU under {WRONG_OBJECT_IOU:g}, or where there was nothing to find",
        _every,
        lambda score: score.wrong_object,
        -1,
    ),
    "wrong_absent": _rate(
        "wrong absent", "present targets answered NOT_IN_VIEW", _present, lambda score: score.wrong_absent, -1
    ),
    "wrong_question": _rate(
        "wrong question",
        "answered AMBIGUOUS, and no candidate was meant",
        _every,
        lambda score: score.wrong_question,
        -1,
    ),
    "first_iou": Ratio(
        "IoU of the first mask",
        "mean over present targets with a mask",
        _with_first,
        lambda score: score.first_iou or 0.0,
    ),
    "corrected": _rate(
        "corrected",
        "IoU of 0.5 or more at the end, of those whose first mask had less",
        _first_wrong,
        lambda score: score.iou >= MATCH_IOU,
    ),
    "regressed": _rate(
        "regressed after correction",
        "IoU under 0.5 at the end, of those whose first mask had more",
        _first_right,
        lambda score: score.iou < MATCH_IOU,
        -1,
    ),
    "clarification_rate": _rate(
        "clarification rate",
        "ambiguous goals answered AMBIGUOUS",
        _ambiguous,
        lambda score: score.outcome is Outcome.AMBIGUOUS,
    ),
    "candidates_f1": Ratio(
        "candidates F1", "candidates against all that fit", _ambiguous, lambda score: score.candidates_f1 or 0.0
    ),
    "unnecessary_clarification": _rate(
        "unnecessary clarification",
        "clear goals answered AMBIGUOUS",
        _clear,
        lambda score: score.unnecessary_clarification,
        -1,
    ),
    "failed": _rate("failed", "examples without an answer", _every, lambda score: not score.answered, -1),
    "turns": Ratio("turns", "mean", _every, lambda score: score.turns, 0),
    "tool_calls": Ratio("tool calls", "mean", _every, lambda score: score.tool_calls, 0),
    "bad_replies": Ratio("bad replies", "mean", _every, lambda score: score.bad_replies, -1),
    "repaired_replies": Ratio(
        "repaired replies", "mean of those read in spite of a slip", _every, lambda score: score.repaired_replies, -1
    ),
    "prompt_tokens": Ratio("prompt tokens", "mean", _every, lambda score: score.prompt_tokens, 0),
    "sampled_tokens": Ratio("sampled tokens", "mean", _every, lambda score: score.sampled_tokens, 0),
}

ALIASES = {
    "outcome": "outcome_accuracy",
    "spoiled": "regressed",
    "asked": "clarification_rate",
    "needless": "unnecessary_clarification",
}
"""Keys of release 0.1.0 in JSON files, which have them still, and what they are called now."""


def with_aliases(figures: Mapping[str, T]) -> dict[str, T]:
    """The figures by their names, and again by those of release 0.1.0."""
    return {**figures, **{old: figures[new] for old, new in ALIASES.items() if new in figures}}


def parts(scores: Sequence[Score]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numerators and denominators of all ratios, (examples, ratios) each, in the order of RATIOS."""
    over = np.array([[ratio.over(score) for ratio in RATIOS.values()] for score in scores], dtype=np.float64)
    value = np.array(
        [[ratio.value(score) if ratio.over(score) else 0.0 for ratio in RATIOS.values()] for score in scores],
        dtype=np.float64,
    )
    empty = (0, len(RATIOS))
    return (value, over) if scores else (np.zeros(empty), np.zeros(empty))


def values(scores: Sequence[Score]) -> dict[str, float | None]:
    """The value of each ratio; None where no example counts."""
    value, over = (part.sum(axis=0) for part in parts(scores))
    return {name: float(v / o) if o else None for name, v, o in zip(RATIOS, value, over, strict=True)}


def by_category(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """The scores of each category, categories by name."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        found.setdefault(score.category, []).append(score)
    return dict(sorted(found.items()))


def confusion(scores: Sequence[Score]) -> dict[str, dict[str, int]]:
    """Confusion of outcomes, expected by ended; all eight columns, also those without an example."""
    counts = Counter((score.expected, score.outcome) for score in scores)
    return {str(right): {str(end): counts[right, end] for end in Outcome} for right in EXPECTED}
