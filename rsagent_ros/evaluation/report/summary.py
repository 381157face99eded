"""The report as data: everything that report.json says, and from which the other forms are made.

`metrics` and what stands beside it is the same in every run of a deterministic policy; `measured` is not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np

from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.scoring.bootstrap import Interval, intervals
from rsagent_ros.scoring.metrics import by_category, confusion, values
from rsagent_ros.scoring.reliability import calibration

MAIN = ("giou", "ciou", "p50", "boundary_f", "n_acc", "t_acc")
"""The ratios that tables by category show."""


def summarise(found: Evaluated) -> dict[str, Any]:
    """Of one run; takes about two seconds for 10,000 samples, which the bootstrap needs.

    Returns:
        Plain data for JSON.
    """
    rows = found.rows
    return {
        "run": msgspec.to_builtins(found.run),
        "samples": len(rows),
        "metrics": {name: asdict(interval) for name, interval in intervals(rows, found.run.seed).items()},
        "categories": {name: {"samples": len(part), **values(part)} for name, part in by_category(rows).items()},
        "confusion": confusion(rows),
        "calibration": asdict(calibration(rows)),
        "failed": [
            {"id": row.id, "outcome": str(row.outcome), "error_code": row.error_code, "error_msg": row.error_msg}
            for row in rows
            if not row.answered
        ],
        "error_codes": dict(sorted(Counter(row.error_code for row in rows if row.error_code).items())),
        "skipped": [
            {"id": one.id, "place": one.where, "reason": one.reason, "fault": one.fault} for one in found.skipped
        ],
        "remarks": found.remarks,
        "measured": _measured(found),
    }


def interval_of(summary: dict[str, Any], name: str) -> Interval:
    """One of its metrics."""
    return Interval(**summary["metrics"][name])


def _measured(found: Evaluated) -> dict[str, Any]:
    """Seconds a sample, whole and in parts: mean, median, and what 95 % stay below. Empty where none were taken."""
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
