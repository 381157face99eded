"""The report as one HTML file: opens from file://, needs no network, shows everything without its script.

All text goes through Jinja's autoescaping: instructions, reasons and paths come from outside. The worst samples hold
their whole traces, each as the viewer's own page in a frame.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rsagent_ros.agent.mask import decode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.evaluation.report.curves import Curve, curves, example_by_example
from rsagent_ros.evaluation.report.pictures import draw
from rsagent_ros.evaluation.report.summary import MAIN, sections, split
from rsagent_ros.evaluation.report.tables import dataset_name, figure, system_name, title
from rsagent_ros.evaluation.results import ExampleResult, RunSettings
from rsagent_ros.scoring.intervals import paired
from rsagent_ros.scoring.metrics import RATIOS, Ratio
from rsagent_ros.scoring.score import Score
from rsagent_ros.viewer.page import TITLES, Shown, render

MOST_ROWS = 5_000
"""Examples in the table of the page, the worst ones; scores.csv has all."""

CARDS = ("giou", "ciou", "right", "p50", "p90", "n_acc", "t_acc", "wrong_object")


def worst(scores: Iterable[Score]) -> list[Score]:
    """All, those worth least first; of equals those that failed, then those surest of themselves."""
    return sorted(scores, key=lambda one: (one.value, one.iou, one.answered, -(one.confidence or 0.0), one.index))


def worst_wrong(scores: Iterable[Score], count: int) -> list[Score]:
    """So many of those that were answered wrong, those worth least first."""
    return worst(one for one in scores if not one.right)[:count]


def short_of(score: Score) -> list[str]:
    """The ratios of CARDS that the example keeps from the best value; for those that are no share, if it is wrong."""
    found = []
    for name in CARDS:
        ratio = RATIOS[name]
        missed = ratio.value(score) != (ratio.better > 0) if ratio.rate else not score.right
        if ratio.over(score) and missed:
            found.append(name)
    return found


def load_examples(settings: RunSettings, ids: Collection[str]) -> dict[str, Example]:
    """The examples of these ids with their images, as far as the data set is still there and readable."""
    found: dict[str, Example] = {}
    # Masks that were only scored need no image; where there is one, it is shown.
    for masks_only in (False, True) if "predictions" in settings.system else (False,):
        try:
            for one in list_examples(Dataset(**settings.dataset), masks_only=masks_only):
                if isinstance(one, ExampleRef) and one.id in ids and one.id not in found:
                    try:
                        found[one.id] = one.load()
                    except (ValueError, OSError):
                        continue  # the list of the skipped ones says why
        except (ValueError, OSError):
            continue  # moved since: the page says that there are no pictures
    return found


def render_report(
    found: Evaluated, summary: dict[str, Any], results: Mapping[str, ExampleResult], examples: Mapping[str, Example]
) -> str:
    """The page of one run as text; write it as UTF-8.

    Args:
        found: All that came of the run.
        summary: Of `summarise`.
        results: Of the examples to show with picture and trace, by id, in the order to show them.
        examples: Those; where one is missing, so is the picture.
    """
    apart = split(found.scores)
    shown_sections = sections(summary)
    lines = [
        Curve(section.title, style, apart.get(section.key, found.scores), figures["calibration"])
        for style, (section, figures) in zip("ab", shown_sections, strict=False)
    ]
    return _template("report.html").render(
        title=title(summary),
        summary=summary,
        system=system_name(summary["run"]),
        dataset=dataset_name(summary["run"]),
        sections=[
            {
                "title": section.title,
                "note": section.note,
                "samples": figures["samples"],
                "cards": [
                    _card(name, figures, apart.get(section.key, found.scores), results)
                    for name in CARDS
                    if figures["metrics"][name]["value"] is not None
                ],
                "ratios": [_ratio(name, ratio, figures) for name, ratio in RATIOS.items()],
                "categories": figures["categories"],
            }
            for section, figures in shown_sections
        ],
        main=[(name, RATIOS[name].title) for name in MAIN],
        charts=curves(lines),
        rows=[_row(score) for score in worst(found.scores)[:MOST_ROWS]],
        wrong=sum(not score.right for score in found.scores),
        shown=[_shown(result, examples.get(name)) for name, result in results.items()],
        outcomes=_outcomes(found.scores),
        categories=list(summary["categories"]),
        outcome_titles={str(end): name for end, name in TITLES.items()},
    )


def render_comparison(
    names: tuple[str, str],
    scores: tuple[Sequence[Score], Sequence[Score]],
    summaries: tuple[dict[str, Any], dict[str, Any]],
    only: tuple[Sequence[str], Sequence[str]],
    results: Mapping[str, tuple[ExampleResult, ExampleResult]],
    examples: Mapping[str, Example],
    differences: dict[str, dict[str, Any]],
) -> str:
    """The page of two runs side by side, over the examples that both have.

    Args:
        names: What to call them.
        scores: Of the examples that both have, in the same order.
        summaries: Of `summarise`, over these examples.
        only: Ids that only the one or only the other has.
        results: Of the examples to show, by id, in the order to show them.
        examples: Those, as far as they are there.
        differences: Of `difference`, by the key of their section.
    """
    a, b = scores
    changed = sorted(zip(a, b, strict=True), key=lambda pair: (pair[1].iou - pair[0].iou, pair[0].index))
    pairs = zip(sections(summaries[0]), sections(summaries[1]), strict=True)
    lines = [
        Curve(name, style, part, summary["calibration"])
        for name, style, part, summary in zip(names, "ab", scores, summaries, strict=True)
    ]
    return _template("compare.html").render(
        title=f"{names[0]} and {names[1]}",
        names=names,
        systems=[system_name(summary["run"]) for summary in summaries],
        dataset=dataset_name(summaries[0]["run"]),
        count=len(a),
        only=only,
        sections=[
            {
                "title": section.title,
                "note": section.note,
                "samples": first["samples"],
                "ratios": [
                    _difference(name, ratio, (first, second), differences[section.key][name])
                    for name, ratio in RATIOS.items()
                ],
            }
            for (section, first), (_, second) in pairs
        ],
        charts=[*curves(lines), *example_by_example(names[1], a, b)],
        rows=[
            {**_row(y), "before": figure(x.iou), "outcome_before": str(x.outcome), "change": y.iou - x.iou}
            for x, y in (
                changed if len(changed) <= MOST_ROWS else changed[: MOST_ROWS // 2] + changed[-MOST_ROWS // 2 :]
            )
        ],
        shown=[
            {"id": name, "sides": [_shown(result, examples.get(name)) for result in pair]}
            for name, pair in results.items()
        ],
        outcomes=_outcomes(b),
        categories=sorted({one.category for one in b}),
        outcome_titles={str(end): name for end, name in TITLES.items()},
    )


def difference(a: Sequence[Score], b: Sequence[Score], seed: int) -> dict[str, Any]:
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


def most_changed(a: Sequence[Score], b: Sequence[Score], count: int) -> list[str]:
    """Ids of the examples whose IoU fell and rose most, half of each where there are enough, the fallen first."""
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


def _card(name: str, figures: dict[str, Any], scores: Sequence[Score], shown: Collection[str]) -> dict[str, Any]:
    """A figure, and the examples that it is not better for: `leads_to` is where they stand."""
    short = [score.id for score in scores if name in short_of(score)]
    return {
        **_ratio(name, RATIOS[name], figures),
        "name": name,
        "bar": figures["metrics"][name],
        "short": len(short),
        "leads_to": "worst" if any(one in shown for one in short) else "samples",
    }


def _ratio(name: str, ratio: Ratio, figures: dict[str, Any]) -> dict[str, Any]:
    interval = figures["metrics"][name]
    count = f"{interval['over']:.0f} sample{'' if interval['over'] == 1 else 's'}"
    over = "" if interval["over"] == figures["samples"] or name == "ciou" else count
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


def _row(score: Score) -> dict[str, Any]:
    return {
        "index": score.index,
        "id": score.id,
        "instruction": score.instruction,
        "category": score.category,
        "expected": str(score.expected),
        "outcome": str(score.outcome),
        "iou": score.iou,
        "self_judged": score.self_judged,
        "confidence": score.confidence,
        "turns": score.turns,
        "right": score.right,
        "short_of": " ".join(short_of(score)),
        "error": f"{score.error_code}: {score.error_msg}" if score.error_code else "",
    }


def _shown(result: ExampleResult, example: Example | None) -> dict[str, Any]:
    trace = result.whole_trace() if example is not None else None
    page = None
    if trace is not None and example is not None:
        facts = {"IoU": figure(result.score.iou), "expected": TITLES[result.score.expected]}
        page = render([Shown(trace, example.image, facts, right=result.score.right)], trace.instruction)
    mask = None if result.mask is None or result.score.outcome is Outcome.FAILED else decode_rle(result.mask)
    return {
        **_row(result.score),
        "picture": None if example is None else draw(example, mask),
        "page": page,
        "seconds": result.measured.seconds,
    }


def _outcomes(scores: Sequence[Score]) -> list[tuple[str, str, int]]:
    """Name, title and count of the outcomes that occur."""
    counted = [(end, sum(one.outcome is end for one in scores)) for end in Outcome]
    return [(str(end), TITLES[end], count) for end, count in counted if count]
