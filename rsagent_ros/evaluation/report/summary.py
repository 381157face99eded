"""The report as data: everything that report.json says, and from which the other forms are made.

`metrics` and what stands beside it is the same in every run of a deterministic policy; `measured` is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np

from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.scoring.intervals import intervals
from rsagent_ros.scoring.metrics import by_category, confusion, values, with_aliases
from rsagent_ros.scoring.reliability import reliability
from rsagent_ros.scoring.score import Score

MAIN = ("giou", "ciou", "right", "p50", "boundary_f", "n_acc", "t_acc")
"""The ratios that tables by category show."""

HUMAN, SELF_JUDGED = "human", "self_judged"


@dataclass(frozen=True)
class Section:
    """Examples whose figures stand together in a report.

    Attributes:
        key: Of the JSON files' `parts`; empty for all examples.
        title: Of its tables; empty for all examples.
        note: A sentence under the title; may be empty.
    """

    key: str
    title: str
    note: str


ALL = Section("", "", "")
PARTS = (
    Section(HUMAN, "Judged by people", ""),
    Section(
        SELF_JUDGED,
        "Accepted masks of the agent's own",
        "The truth here is a mask that an agent drew and somebody accepted. An agent that answers as it did agrees "
        "with itself: these figures say nothing of how exact its masks are.",
    ),
)


def split(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """The scores apart, by the key of their section; nothing where no truth is an agent's own mask.

    A report shows figures of sections, and of all examples together only where there is nothing to tell apart.
    """
    own = [score for score in scores if score.self_judged]
    people = [score for score in scores if not score.self_judged]
    if not own:
        return {}
    return {key: part for key, part in ((HUMAN, people), (SELF_JUDGED, own)) if part}


def sections(summary: dict[str, Any]) -> list[tuple[Section, dict[str, Any]]]:
    """The sections that a report of this summary shows, each with its figures; people's judgements first."""
    parts = [(section, summary["parts"][section.key]) for section in PARTS if section.key in summary["parts"]]
    return parts or [(ALL, summary)]


def summarise(found: Evaluated) -> dict[str, Any]:
    """Everything about one run as plain data for JSON; takes about two seconds for 10,000 examples.

    `metrics`, `categories` and `calibration` are over all examples; `parts` has them again by section, where figures on
    people's judgements and on accepted masks of the agent's own have to be told apart.
    """
    scores = found.scores
    seed = found.settings.seed
    return {
        "run": msgspec.to_builtins(found.settings),
        **_figures(scores, seed),
        "parts": {key: _figures(part, seed) for key, part in split(scores).items()},
        "confusion": confusion(scores),
        "failed": [
            {"id": one.id, "outcome": str(one.outcome), "error_code": one.error_code, "error_msg": one.error_msg}
            for one in scores
            if not one.answered
        ],
        "error_codes": dict(sorted(Counter(one.error_code for one in scores if one.error_code).items())),
        "skipped": [
            {"id": one.id, "place": one.where, "reason": one.reason, "fault": one.fault} for one in found.skipped
        ],
        "remarks": found.remarks,
        "measured": _measured(found),
    }


def _figures(scores: Sequence[Score], seed: int) -> dict[str, Any]:
    return {
        "samples": len(scores),
        "metrics": with_aliases({name: asdict(interval) for name, interval in intervals(scores, seed).items()}),
        "categories": {
            name: {"samples": len(part), **with_aliases(values(part))} for name, part in by_category(scores).items()
        },
        "calibration": asdict(reliability(scores)),
    }


def _measured(found: Evaluated) -> dict[str, Any]:
    """Seconds an example, whole and in parts: mean, median, and what 95 % stay below. Empty where none were taken."""
    if not any(one.seconds for one in found.measured):
        return {}
    parts = ("seconds", "policy_seconds", "tool_seconds")
    taken = {part: np.array([getattr(one, part) for one in found.measured]) for part in parts}
    figures = {
        part: {
            "mean": float(values.mean()),
            "p50": float(np.percentile(values, 50)),
            "p95": float(np.percentile(values, 95)),
        }
        for part, values in taken.items()
    }
    return {
        **figures,
        "cached_tokens": sum(one.cached_tokens for one in found.measured),
        "begun_again": sum(one.attempts - 1 for one in found.measured),
    }
