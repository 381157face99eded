"""The report as files for other programs and for people with a terminal: JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from rsagent_ros.evaluation.report.summary import MAIN, sections
from rsagent_ros.evaluation.results import Measured
from rsagent_ros.scoring.intervals import Interval
from rsagent_ros.scoring.metrics import RATIOS
from rsagent_ros.scoring.score import Score

LISTED = 50
"""Skipped samples, remarks and failures that the Markdown lists one by one; report.json has all."""


def to_json(summary: dict[str, Any]) -> str:
    """The text of report.json; numbers in full."""
    return json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def scores_csv(scores: Sequence[Score]) -> str:
    """One line a sample: all that is the same in every run of a deterministic policy."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Score)])
    for score in scores:
        writer.writerow([_cell(value) for value in asdict(score).values()])
    return out.getvalue()


def timings_csv(scores: Sequence[Score], measured: Sequence[Measured]) -> str:
    """One line a sample: what was measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", *(field.name for field in fields(Measured))])
    for score, one in zip(scores, measured, strict=True):
        writer.writerow([score.id, *asdict(one).values()])
    return out.getvalue()


def to_markdown(summary: dict[str, Any]) -> str:
    """The text of report.md, for people."""
    skipped = [one for one in summary["skipped"] if one["fault"]]
    left_out = len(summary["skipped"]) - len(skipped)
    lines = [
        f"# {title(summary)}",
        "",
        f"{summary['samples']} samples, {len(summary['failed'])} of them failed (they count, with 0), "
        f"{len(skipped)} skipped for a fault in the data, {left_out} left out without a verdict, "
        f"{len(summary['remarks'])} remarks.",
    ]
    for section, figures in sections(summary):
        if section.title:
            lines += ["", f"## {section.title}", "", f"{figures['samples']} samples. {section.note}".strip()]
        lines += [
            "",
            *_metrics(figures),
            "",
            f"##{'#' if section.title else ''} By category",
            "",
            *_by_category(figures),
        ]
    if summary["measured"]:
        seconds = summary["measured"]["seconds"]
        lines += ["", "## Latency", "", "| | seconds, measured |", "|---|---:|"]
        lines += [f"| {name} | {seconds[name]:.2f} |" for name in ("p50", "p95")]
    lines += ["", "## How it ended", "", "| expected | " + " | ".join(summary["confusion"]["found"]) + " |"]
    lines.append("|---|" + "---:|" * len(summary["confusion"]["found"]))
    for right, ends in summary["confusion"].items():
        lines.append(f"| {right} | " + " | ".join(str(count) for count in ends.values()) + " |")
    failed = [f"{one['id']}: {one['error_code'] or one['outcome']}: {one['error_msg']}" for one in summary["failed"]]
    lines += _listing("Failed", failed)
    lines += _listing("Skipped", [f"{one['place']}: {one['reason']}" for one in summary["skipped"]])
    lines += _listing("Remarks", summary["remarks"])
    return "\n".join(lines) + "\n"


def _metrics(figures: dict[str, Any]) -> list[str]:
    lines = ["| metric | value | 95 % interval | over | |", "|---|---:|---|---:|---|"]
    for name, ratio in RATIOS.items():
        interval = Interval(**figures["metrics"][name])
        if interval.value is not None:
            over = f"{interval.over:.0f}" + (" px" if name == "ciou" else "")
            lines.append(
                f"| {ratio.title} | {figure(interval.value)} | {between(interval)} | {over} | {ratio.meaning} |"
            )
    sure = figures["calibration"]
    if sure["count"]:
        lines.append(f"| ECE | {figure(sure['ece'])} | | {sure['count']} | calibration error of the confidence |")
        lines.append(f"| AURC | {figure(sure['aurc'])} | | {sure['count']} | mean risk over all coverages |")
    return lines


def _by_category(figures: dict[str, Any]) -> list[str]:
    lines = ["| category | samples | " + " | ".join(RATIOS[name].title for name in MAIN) + " |"]
    lines.append("|---|---:|" + "---:|" * len(MAIN))
    for category, part in figures["categories"].items():
        cells = " | ".join(figure(part[name]) for name in MAIN)
        lines.append(f"| {_plain(category) or '(none)'} | {part['samples']} | {cells} |")
    return lines


def title(summary: dict[str, Any]) -> str:
    """Title of a report: the system, and the data it was evaluated on."""
    return f"{system_name(summary['run'])} on {dataset_name(summary['run'])}"


def system_name(run: dict[str, Any]) -> str:
    """Name of the models that answered, or of the predictions."""
    system = run["system"]
    if "predictions" in system:
        return f"predictions of {system['predictions']}"
    settings = system.get("settings") or {}
    model = next((settings[key] for key in ("chat_server.model", "local.checkpoint") if key in settings), "")
    policy, segmenter = (system.get(kind, f"unknown {kind}") for kind in ("policy", "segmenter"))
    return f"{policy}{f' ({model})' if model else ''} and {segmenter}"


def dataset_name(run: dict[str, Any]) -> str:
    """On what."""
    dataset = run["dataset"]
    name = " ".join(filter(None, (dataset["kind"], dataset["split"])))
    chosen = f", {run['limit']} samples drawn with seed {run['seed']}" if run["limit"] else ""
    return f"{name} ({dataset['path']}{chosen})"


def figure(value: float | None) -> str:
    """A rate to three places, a count to fewer; a dash for none."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def between(interval: Interval) -> str:
    """The interval's ends."""
    return "" if interval.low is None else f"{figure(interval.low)} to {figure(interval.high)}"


def _listing(heading: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    shown = [f"- {_plain(line)}" for line in lines[:LISTED]]
    if len(lines) > LISTED:
        shown.append(f"- and {len(lines) - LISTED} more, in report.json")
    return ["", f"## {heading}", "", *shown]


def _plain(text: str) -> str:
    """A text from outside that can't break a table or become markup."""
    one_line = " ".join(text.split())
    for mark in "\\|<>`*_[]":
        one_line = one_line.replace(mark, "\\" + mark)
    return one_line


def _cell(value: object) -> object:
    if value is None:
        return ""
    text = str(value) if not isinstance(value, float) else repr(value)
    # A spreadsheet takes a text that begins so for a formula.
    return "'" + text if isinstance(value, str) and text[:1] in tuple("=+-@\t\r") else text
