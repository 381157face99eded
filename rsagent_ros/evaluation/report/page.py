"""The report as one HTML file: opens from file://, needs no network, shows everything without its script.

All text goes through Jinja's autoescaping: instructions, reasons and paths come from outside. The worst samples hold
their whole traces, each as the viewer's own page in a frame.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rsagent_ros.agent.mask import decode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.evaluation.report.charts import Dot, Series, line_chart, scatter, success_points
from rsagent_ros.evaluation.report.pictures import draw
from rsagent_ros.evaluation.report.summary import MAIN
from rsagent_ros.evaluation.report.tables import dataset_name, figure, system_name, title
from rsagent_ros.evaluation.results import Line, Run
from rsagent_ros.scoring.bootstrap import paired
from rsagent_ros.scoring.metrics import RATIOS, Ratio
from rsagent_ros.scoring.score import Row
from rsagent_ros.viewer.page import TITLES, Shown, render

MOST_ROWS = 5_000
"""Samples in the table of the page, the worst ones; scores.csv has all."""

MOST_DOTS = 2_000

CARDS = ("giou", "ciou", "p50", "p90", "boundary_f", "n_acc", "t_acc", "wrong_object")


def worst(rows: Sequence[Row], count: int) -> list[Row]:
    """The samples with the lowest IoU; of equals those that failed, then those that were surest of themselves."""
    return sorted(rows, key=lambda row: (row.iou, row.answered, -(row.confidence or 0.0), row.index))[:count]


def load_examples(run: Run, ids: Collection[str]) -> dict[str, Example]:
    """Those examples with their images, as far as the data set is still there and readable."""
    found: dict[str, Example] = {}
    # Masks that were only scored need no image; where there is one, it is shown.
    for masks_only in (False, True) if "predictions" in run.system else (False,):
        try:
            for one in list_examples(Dataset(**run.dataset), masks_only=masks_only):
                if isinstance(one, ExampleRef) and one.id in ids and one.id not in found:
                    try:
                        found[one.id] = one.load()
                    except (ValueError, OSError):
                        continue  # the list of the skipped ones says why
        except (ValueError, OSError):
            continue  # moved since: the page says that there are no pictures
    return found


def render_report(
    found: Evaluated, summary: dict[str, Any], lines: Mapping[str, Line], examples: Mapping[str, Example]
) -> str:
    """The page of one run as text; write it as UTF-8.

    Args:
        found: What came of it.
        summary: Of `summarise`.
        lines: Of the samples to show with picture and trace, by id, in the order to show them.
        examples: Theirs; where one is missing, so is the picture.
    """
    return _template("report.html").render(
        title=title(summary),
        summary=summary,
        system=system_name(summary["run"]),
        dataset=dataset_name(summary["run"]),
        cards=[_card(name, summary) for name in CARDS if summary["metrics"][name]["value"] is not None],
        ratios=[_ratio(name, ratio, summary) for name, ratio in RATIOS.items()],
        main=[(name, RATIOS[name].title) for name in MAIN],
        charts=_curves([("", "a", found.rows, summary["calibration"])]) if find_spec("matplotlib") else [],
        rows=[_row(row) for row in worst(found.rows, MOST_ROWS)],
        shown=[_shown(line, examples.get(name)) for name, line in lines.items()],
        outcomes=_outcomes(found.rows),
        categories=list(summary["categories"]),
        outcome_titles={str(end): name for end, name in TITLES.items()},
    )


def render_comparison(
    names: tuple[str, str],
    rows: tuple[Sequence[Row], Sequence[Row]],
    summaries: tuple[dict[str, Any], dict[str, Any]],
    only: tuple[Sequence[str], Sequence[str]],
    lines: Mapping[str, tuple[Line, Line]],
    examples: Mapping[str, Example],
    differences: dict[str, Any],
) -> str:
    """The page of two runs side by side, over the samples that both have.

    Args:
        names: What to call them.
        rows: Of the samples that both have, in the same order.
        summaries: Of `summarise`, over these samples.
        only: Ids that only the one or only the other has.
        lines: Of the samples to show, by id, in the order to show them.
        examples: Theirs, as far as they are there.
        differences: Of `difference`.
    """
    a, b = rows
    changed = sorted(zip(a, b, strict=True), key=lambda pair: (pair[1].iou - pair[0].iou, pair[0].index))
    return _template("compare.html").render(
        title=f"{names[0]} and {names[1]}",
        names=names,
        systems=[system_name(summary["run"]) for summary in summaries],
        dataset=dataset_name(summaries[0]["run"]),
        count=len(a),
        only=only,
        ratios=[_difference(name, ratio, summaries, differences[name]) for name, ratio in RATIOS.items()],
        charts=_comparing_charts(names, rows, summaries) if find_spec("matplotlib") else [],
        rows=[
            {**_row(y), "before": figure(x.iou), "outcome_before": str(x.outcome), "change": y.iou - x.iou}
            for x, y in (
                changed if len(changed) <= MOST_ROWS else changed[: MOST_ROWS // 2] + changed[-MOST_ROWS // 2 :]
            )
        ],
        shown=[
            {"id": name, "sides": [_shown(line, examples.get(name)) for line in pair]} for name, pair in lines.items()
        ],
        outcomes=_outcomes(b),
        categories=sorted({row.category for row in b}),
        outcome_titles={str(end): name for end, name in TITLES.items()},
    )


def difference(a: Sequence[Row], b: Sequence[Row], seed: int) -> dict[str, Any]:
    """Each ratio of b less that of a, with the interval of the paired bootstrap, as plain data."""
    return {
        name: {
            "value": interval.value,
            "low": interval.low,
            "high": interval.high,
            "clear": interval.clear,
            "verdict": _verdict(RATIOS[name], interval.value) if interval.clear else "",
        }
        for name, interval in paired(a, b, seed).items()
    }


def most_changed(a: Sequence[Row], b: Sequence[Row], count: int) -> list[str]:
    """Ids of the samples whose IoU fell and rose most, half of each where there are enough, those that fell first."""
    pairs = sorted((y.iou - x.iou, x.index, x.id) for x, y in zip(a, b, strict=True))
    fell = [name for change, _, name in pairs if change < 0]
    rose = [name for change, _, name in reversed(pairs) if change > 0]
    first = fell[: max((count + 1) // 2, count - len(rose))]
    return first + rose[: count - len(first)]


def _template(name: str) -> Any:
    environment = Environment(
        loader=PackageLoader("rsagent_ros.evaluation.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = figure
    return environment.get_template(name)


def _card(name: str, summary: dict[str, Any]) -> dict[str, Any]:
    return {**_ratio(name, RATIOS[name], summary), "bar": summary["metrics"][name]}


def _ratio(name: str, ratio: Ratio, summary: dict[str, Any]) -> dict[str, Any]:
    interval = summary["metrics"][name]
    over = "" if interval["over"] == summary["samples"] or name == "ciou" else f"{interval['over']:.0f} samples"
    return {
        "title": ratio.title,
        "meaning": ratio.meaning,
        "value": interval["value"],
        "between": "" if interval["low"] is None else f"{figure(interval['low'])} to {figure(interval['high'])}",
        "over": over,
    }


def _difference(name: str, ratio: Ratio, summaries: Sequence[dict[str, Any]], delta: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": ratio.title,
        "meaning": ratio.meaning,
        "values": [summary["metrics"][name]["value"] for summary in summaries],
        "change": figure(None) if delta["value"] is None else f"{delta['value']:+.3f}",
        "between": "" if delta["low"] is None else f"{delta['low']:+.3f} to {delta['high']:+.3f}",
        "verdict": delta["verdict"],
    }


def _verdict(ratio: Ratio, change: float | None) -> str:
    if not ratio.better or not change:
        return "differs"
    return "better" if change * ratio.better > 0 else "worse"


def _comparing_charts(
    names: tuple[str, str],
    rows: tuple[Sequence[Row], Sequence[Row]],
    summaries: tuple[dict[str, Any], dict[str, Any]],
) -> list[dict[str, Any]]:
    """The curves of both runs, and IoU against IoU."""
    runs = [
        (name, style, part, summary["calibration"])
        for name, style, part, summary in zip(names, "ab", rows, summaries, strict=True)
    ]
    dots = [Dot(a.iou, b.iou, f"#row-{b.index}") for a, b in zip(*rows, strict=True)]
    return [
        *_curves(runs),
        {
            "title": "Sample by sample",
            "note": f"Above the diagonal {names[1]} is better; a dot leads to its sample.",
            "svg": scatter(dots[:: max(1, -(-len(dots) // MOST_DOTS))], "IoU of the first", "IoU of the second"),
        },
    ]


def _curves(runs: Sequence[tuple[str, str, Sequence[Row], dict[str, Any]]]) -> list[dict[str, Any]]:
    """The curves, one line for each run."""
    success, reliable, risky = [], [], []
    for name, style, rows, sure in runs:
        success.append(Series(name, success_points([row.iou for row in rows if row.present]), style))
        bins = [part for part in sure["bins"] if part["count"]]
        most = max((part["count"] for part in bins), default=1)
        dots = [part["count"] / most for part in bins]
        reliable.append(Series(name, [(part["confidence"], part["right"]) for part in bins], style, dots))
        risky.append(Series(name, list(zip(sure["coverage"], sure["risk"], strict=True)), style))
    numbers = [
        f"{f'{name}: ' if name else ''}ECE {figure(sure['ece'])}, AURC {figure(sure['aurc'])}"
        for name, _, _, sure in runs
    ]
    return [
        {
            "title": "Success",
            "note": "Share of present targets with at least this IoU.",
            "svg": line_chart(success, "IoU", "share of targets"),
        },
        {
            "title": "Reliability",
            "note": "Confidence against the share that is right (IoU 0.5 or more); on the diagonal it is what it says. "
            + "; ".join(numbers),
            "svg": line_chart(reliable, "confidence", "share right", diagonal=True),
        },
        {
            "title": "Risk and coverage",
            "note": "Mean of 1 - IoU when only the surest answers are kept; it should fall to the left.",
            "svg": line_chart(risky, "share kept", "risk"),
        },
    ]


def _row(row: Row) -> dict[str, Any]:
    return {
        "index": row.index,
        "id": row.id,
        "instruction": row.instruction,
        "category": row.category,
        "expected": str(row.expected),
        "outcome": str(row.outcome),
        "iou": row.iou,
        "confidence": row.confidence,
        "turns": row.turns,
        "error": f"{row.error_code}: {row.error_msg}" if row.error_code else "",
    }


def _shown(line: Line, example: Example | None) -> dict[str, Any]:
    trace = line.whole_trace() if example is not None else None
    page = None
    if trace is not None and example is not None:
        facts = {"IoU": figure(line.row.iou), "expected": TITLES[line.row.expected]}
        page = render([Shown(trace, example.image, facts)], trace.instruction)
    mask = None if line.mask is None or line.row.outcome is Outcome.FAILED else decode_rle(line.mask)
    return {
        **_row(line.row),
        "picture": None if example is None else draw(example, mask),
        "page": page,
        "seconds": line.measured.seconds,
    }


def _outcomes(rows: Sequence[Row]) -> list[tuple[str, str, int]]:
    """Name, title and count of the outcomes that occur."""
    counted = [(end, sum(row.outcome is end for row in rows)) for end in Outcome]
    return [(str(end), TITLES[end], count) for end, count in counted if count]
