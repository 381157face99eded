"""The curves of a report, of one run or of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from rsagent_ros.evaluation.report.charts import Dot, Series, line_chart, scatter, success_points
from rsagent_ros.evaluation.report.tables import figure
from rsagent_ros.scoring.score import Score

MOST_DOTS = 2_000

Chart = dict[str, Any]
"""Title, note and SVG, as the templates take them."""


@dataclass(frozen=True)
class Curve:
    """Scores that are one line in every chart.

    Attributes:
        name: For the legend; empty for the only one.
        style: `a` or `b`.
        scores: Of its examples.
        calibration: As the summary has it.
    """

    name: str
    style: str
    scores: Sequence[Score]
    calibration: dict[str, Any]


def curves(lines: Sequence[Curve]) -> list[Chart]:
    """Success, reliability, risk and coverage; none where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return []
    success, reliable, risky = [], [], []
    for line in lines:
        sure = line.calibration
        success.append(Series(line.name, success_points([one.iou for one in line.scores if one.present]), line.style))
        bins = [part for part in sure["bins"] if part["count"]]
        most = max((part["count"] for part in bins), default=1)
        dots = [part["count"] / most for part in bins]
        reliable.append(Series(line.name, [(part["confidence"], part["right"]) for part in bins], line.style, dots))
        risky.append(Series(line.name, list(zip(sure["coverage"], sure["risk"], strict=True)), line.style))
    numbers = [
        f"{f'{line.name}: ' if line.name else ''}ECE {figure(line.calibration['ece'])}, "
        f"AURC {figure(line.calibration['aurc'])}"
        for line in lines
    ]
    return [
        {
            "title": "Success",
            "note": "Share of present targets with at least this IoU.",
            "svg": line_chart(success, "IoU", "share of targets"),
        },
        {
            "title": "Reliability",
            "note": "Confidence against the share of right answers; on the diagonal it is what it says. "
            + "; ".join(numbers),
            "svg": line_chart(reliable, "confidence", "share right", diagonal=True),
        },
        {
            "title": "Risk and coverage",
            "note": "Share of wrong answers when only the surest ones are kept; it should fall to the left.",
            "svg": line_chart(risky, "share kept", "risk"),
        },
    ]


def example_by_example(name: str, first: Sequence[Score], second: Sequence[Score]) -> list[Chart]:
    """IoU of the second run, of that name, over IoU of the first; nothing where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return []
    dots = [Dot(a.iou, b.iou, f"#row-{b.index}") for a, b in zip(first, second, strict=True)]
    return [
        {
            "title": "Example by example",
            "note": f"Above the diagonal {name} is better; a dot leads to its example.",
            "svg": scatter(dots[:: max(1, -(-len(dots) // MOST_DOTS))], "IoU of the first", "IoU of the second"),
        }
    ]
