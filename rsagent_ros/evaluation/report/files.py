"""The files of a report, beside results.jsonl; they are written again whenever the run is gone on with."""

from __future__ import annotations

from pathlib import Path

from rsagent_ros.evaluation.evaluator import Evaluated
from rsagent_ros.evaluation.report.page import load_examples, render_report, worst_wrong
from rsagent_ros.evaluation.report.summary import summarise
from rsagent_ros.evaluation.report.tables import scores_csv, timings_csv, to_json, to_markdown
from rsagent_ros.evaluation.results import FILE, find_results

FILES = ("report.json", "report.md", "scores.csv", "timings.csv", "index.html")


def write_report(folder: Path, found: Evaluated, show: int) -> Path:
    """Write all forms of the report; those of an earlier part of the run are replaced.

    Args:
        folder: That holds results.jsonl.
        found: All that came of the run.
        show: Wrong examples to show on the page with picture and trace, the worst ones.

    Returns:
        The page.
    """
    summary = summarise(found)
    chosen = [score.id for score in worst_wrong(found.scores, show)]
    results = find_results(folder / FILE, chosen)
    shown = {name: results[name] for name in chosen}
    texts = (
        to_json(summary),
        to_markdown(summary),
        scores_csv(found.scores),
        timings_csv(found.scores, found.measured),
        render_report(found, summary, shown, load_examples(found.settings, set(chosen))),
    )
    for name, text in zip(FILES, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder / FILES[-1]
