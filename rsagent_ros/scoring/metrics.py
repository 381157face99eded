"""What the rows of a run amount to. Every rate is a ratio of two sums over the samples, and `RATIOS` is all of them.

That one form gives the value, the number of samples it is over, tables by category, and bootstrap intervals alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import EXPECTED
from rsagent_ros.scoring.score import MATCH_IOU, Row

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)

WRONG_OBJECT_IOU = 0.1
"""Below this a mask is of another thing; above, it is at worst a bad mask of the right one."""

Part = Callable[[Row], float]


@dataclass(frozen=True)
class Ratio:
    """One rate.

    Attributes:
        title: As tables call it.
        meaning: One clause.
        over: Which samples count, and how much: the denominator.
        value: The numerator; asked only of samples that count.
        better: Whether more is better (1) or less is (-1); 0 where it is neither.
    """

    title: str
    meaning: str
    over: Part
    value: Part
    better: int = 1


def _every(_: Row) -> float:
    return 1.0


def _present(row: Row) -> float:
    return float(row.present)


def _absent(row: Row) -> float:
    return float(not row.present)


def _clear(row: Row) -> float:
    return float(row.expected is Outcome.FOUND)


def _ambiguous(row: Row) -> float:
    return float(row.expected is Outcome.AMBIGUOUS)


def _with_first(row: Row) -> float:
    return float(row.first_iou is not None)


def _first_wrong(row: Row) -> float:
    return float(row.first_iou is not None and row.first_iou < MATCH_IOU)


def _first_right(row: Row) -> float:
    return float(row.first_iou is not None and row.first_iou >= MATCH_IOU)


def _precision(threshold: float) -> Ratio:
    return Ratio(
        f"P@{threshold:g}",
        f"share of present targets with an IoU of {threshold:g} or more",
        _present,
        lambda row: float(row.iou >= threshold),
    )


RATIOS: dict[str, Ratio] = {
    "giou": Ratio("gIoU", "mean IoU of all samples", _every, lambda row: row.iou),
    "ciou": Ratio(
        "cIoU", "sum of intersections over sum of unions", lambda row: row.union, lambda row: row.intersection
    ),
    **{f"p{round(100 * threshold)}": _precision(threshold) for threshold in THRESHOLDS},
    "boundary_f": Ratio("boundary F", "mean over present targets", _present, lambda row: row.boundary_f or 0.0),
    "n_acc": Ratio(
        "N-acc", "absent targets answered NOT_IN_VIEW", _absent, lambda row: float(row.outcome is Outcome.NOT_IN_VIEW)
    ),
    "t_acc": Ratio(
        "T-acc",
        "present targets answered, and not with NOT_IN_VIEW",
        _present,
        lambda row: float(row.answered and row.outcome is not Outcome.NOT_IN_VIEW),
    ),
    "outcome": Ratio(
        "right outcome", "samples that ended as they should", _every, lambda row: float(row.outcome is row.expected)
    ),
    "wrong_object": Ratio(
        "wrong object",
        f"clear present targets answered with a mask of IoU under {WRONG_OBJECT_IOU:g}",
        _clear,
        lambda row: float(row.masked and row.iou < WRONG_OBJECT_IOU),
        -1,
    ),
    "first_iou": Ratio(
        "IoU of the first mask", "mean over present targets with a mask", _with_first, lambda row: row.first_iou or 0.0
    ),
    "corrected": Ratio(
        "corrected",
        "right at the end, of those whose first mask was wrong (IoU under 0.5)",
        _first_wrong,
        lambda row: float(row.iou >= MATCH_IOU),
    ),
    "spoiled": Ratio(
        "spoiled",
        "wrong at the end, of those whose first mask was right",
        _first_right,
        lambda row: float(row.iou < MATCH_IOU),
        -1,
    ),
    "asked": Ratio(
        "asked", "ambiguous goals answered AMBIGUOUS", _ambiguous, lambda row: float(row.outcome is Outcome.AMBIGUOUS)
    ),
    "candidates_f1": Ratio(
        "candidates F1", "candidates against all that fit", _ambiguous, lambda row: row.candidates_f1 or 0.0
    ),
    "needless": Ratio(
        "needless question",
        "clear goals answered AMBIGUOUS",
        lambda row: 1.0 - _ambiguous(row),
        lambda row: float(row.outcome is Outcome.AMBIGUOUS),
        -1,
    ),
    "failed": Ratio("failed", "samples without an answer", _every, lambda row: float(not row.answered), -1),
    "turns": Ratio("turns", "mean", _every, lambda row: row.turns, 0),
    "tool_calls": Ratio("tool calls", "mean", _every, lambda row: row.tool_calls, 0),
    "bad_replies": Ratio("bad replies", "mean", _every, lambda row: row.bad_replies, -1),
    "prompt_tokens": Ratio("prompt tokens", "mean", _every, lambda row: row.prompt_tokens, 0),
    "sampled_tokens": Ratio("sampled tokens", "mean", _every, lambda row: row.sampled_tokens, 0),
}


def parts(rows: Sequence[Row]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numerators and denominators of all ratios, (samples, ratios) each, in the order of RATIOS."""
    over = np.array([[ratio.over(row) for ratio in RATIOS.values()] for row in rows], dtype=np.float64)
    value = np.array(
        [[ratio.value(row) if ratio.over(row) else 0.0 for ratio in RATIOS.values()] for row in rows], dtype=np.float64
    )
    empty = (0, len(RATIOS))
    return (value, over) if rows else (np.zeros(empty), np.zeros(empty))


def values(rows: Sequence[Row]) -> dict[str, float | None]:
    """The value of each ratio; None where no sample counts."""
    value, over = (part.sum(axis=0) for part in parts(rows))
    return {name: float(v / o) if o else None for name, v, o in zip(RATIOS, value, over, strict=True)}


def by_category(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each category, categories by name."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.category, []).append(row)
    return dict(sorted(found.items()))


def confusion(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """How often each expected outcome ended as which; all eight columns, also those without a sample."""
    counts = Counter((row.expected, row.outcome) for row in rows)
    return {str(right): {str(end): counts[right, end] for end in Outcome} for right in EXPECTED}
