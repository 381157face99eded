"""Report of a synthesis: counts as JSON for scripts and as Markdown for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rsagent_training.jobs.filter_report import FilterReport
from rsagent_training.synthesis.selection import Summary


def report(kept: Sequence[Summary], filters: FilterReport, settings: dict[str, Any]) -> dict[str, Any]:
    """The report as JSON values."""
    thoughts = [thought for one in kept for thought in one.thoughts]
    return {
        "settings": settings,
        "funnel": filters.to_json(),
        "kept": {
            "trajectories": len(kept),
            "scenes": len({one.scene_id for one in kept}),
            "outcomes": dict(Counter(str(one.expected) for one in kept).most_common()),
            "turns": {str(count): number for count, number in sorted(Counter(one.turns for one in kept).items())},
            "tools": dict(Counter(tool for one in kept for tool in one.tools).most_common()),
            "with_a_mistake_put_right": sum(one.corrected for one in kept),
            "turns_that_carry_loss": sum(one.learned for one in kept),
            "turns_that_do_not": sum(one.turns - one.learned for one in kept),
            "distinct_thoughts": len(set(thoughts)) / max(1, len(thoughts)),
            "mean_iou_of_found": _mean([one.iou for one in kept if one.expected == "found"]),
        },
    }


def markdown(data: dict[str, Any], filters: FilterReport) -> str:
    """The report for people."""
    kept = data["kept"]
    lines = [f"- {name.replace('_', ' ')}: {_shown(value)}" for name, value in kept.items()]
    return "\n".join(["# Trajectories", "", filters.to_markdown(), "## What is kept", "", *lines, ""])


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)
