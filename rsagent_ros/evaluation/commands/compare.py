"""`rsagent compare`: two runs side by side, with paired bootstrap intervals of their differences."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsagent_ros.evaluation.evaluator import Evaluated
    from rsagent_ros.scoring.score import Row

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(commands: Commands) -> None:
    """Add `compare` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "compare",
        help="compare two runs",
        description="Compare two runs over the samples that both have: comparison.json and index.html, with 95 % "
        "intervals of the paired bootstrap (10,000 resamples).",
    )
    parser.add_argument("first", type=Path, metavar="RUN", help="folder of `rsagent evaluate` or `rsagent score`")
    parser.add_argument("second", type=Path, metavar="RUN", help="another one; differences are this less the first")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (%(default)d)")
    parser.add_argument("--show", type=int, default=12, metavar="N", help="samples on the page (%(default)d)")
    parser.set_defaults(command=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    from rsagent_ros.evaluation.report.page import difference, load_examples, most_changed, render_comparison
    from rsagent_ros.evaluation.report.summary import summarise
    from rsagent_ros.evaluation.report.tables import figure
    from rsagent_ros.evaluation.results import FILE, find_lines

    folders = (arguments.first, arguments.second)
    try:
        first, second = (_read(folder / FILE) for folder in folders)
        first, second, only = _common(first, second)
    except ValueError as error:
        arguments.parser.error(str(error))
    summaries = summarise(first), summarise(second)
    differences = difference(first.rows, second.rows, arguments.seed)
    ids = most_changed(first.rows, second.rows, arguments.show)
    lines = [{line.row.id: line for line in find_lines(folder / FILE, set(ids))} for folder in folders]
    names = _names(*folders)
    page = render_comparison(
        names,
        (first.rows, second.rows),
        summaries,
        only,
        {name: (lines[0][name], lines[1][name]) for name in ids},
        load_examples(second.run, set(ids)),
        differences,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = {
        "runs": [
            {"folder": str(folder), "metrics": one["metrics"]} for folder, one in zip(folders, summaries, strict=True)
        ],
        "samples": len(first.rows),
        "only_in": [list(ids) for ids in only],
        "differences": differences,
    }
    (arguments.out / "comparison.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "index.html").write_text(page, encoding="utf-8")
    before, after = (figure(summary["metrics"]["giou"]["value"]) for summary in summaries)
    change = "{value:+.3f} ({low:+.3f} to {high:+.3f})".format(**differences["giou"])
    where = f"over {len(first.rows)} samples: {arguments.out / 'index.html'}"
    print(f"gIoU {before} to {after}: {change} {where}")
    return 0


def _read(path: Path) -> Evaluated:
    """The rows of a run, in the order of its dataset."""
    from rsagent_ros.evaluation.evaluator import Evaluated
    from rsagent_ros.evaluation.results import read_results

    run, lines = read_results(path)
    pairs = sorted(((line.row, line.measured) for line in lines), key=lambda pair: pair[0].index)
    return Evaluated(run, [row for row, _ in pairs], [measured for _, measured in pairs], [], [])


def _common(first: Evaluated, second: Evaluated) -> tuple[Evaluated, Evaluated, tuple[list[str], list[str]]]:
    """Both over the samples that both have, in one order, and what only one has.

    Raises:
        ValueError: They have none, or hold samples of one id to be of different truths.
    """
    from dataclasses import replace

    ours, theirs = ({row.id: row for row in one.rows} for one in (first, second))
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise ValueError("the two runs have no sample in common")
    for name in shared:
        if ours[name].expected is not theirs[name].expected:
            raise ValueError(
                f"sample {name} should be {ours[name].expected} in one run, {theirs[name].expected} in the other"
            )
    only = [name for name in ours if name not in theirs], [name for name in theirs if name not in ours]

    def kept(one: Evaluated, rows: dict[str, Row]) -> Evaluated:
        measured = {row.id: measured for row, measured in zip(one.rows, one.measured, strict=True)}
        return replace(one, rows=[rows[name] for name in shared], measured=[measured[name] for name in shared])

    return kept(first, ours), kept(second, theirs), only


def _names(first: Path, second: Path) -> tuple[str, str]:
    """What to call two folders: their own names, or their paths where these are the same."""
    if first.resolve().name != second.resolve().name:
        return first.resolve().name, second.resolve().name
    return str(first), str(second)
