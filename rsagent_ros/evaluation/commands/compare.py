"""`rsagent compare`: two runs side by side, with paired bootstrap intervals of their differences."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsagent_ros.evaluation.evaluator import Evaluated
    from rsagent_ros.scoring.score import Score

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
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from rsagent_ros.evaluation.report.page import difference, load_examples, most_changed, render_comparison
    from rsagent_ros.evaluation.report.summary import sections, split, summarise
    from rsagent_ros.evaluation.report.tables import figure
    from rsagent_ros.evaluation.results import FILE, find_results
    from rsagent_ros.scoring.metrics import with_aliases

    folders = (arguments.first, arguments.second)
    try:
        first, second = (_read(folder / FILE) for folder in folders)
        first, second, only = _common(first, second)
    except ValueError as error:
        print(f"rsagent compare: {error}", file=sys.stderr)
        return 2
    summaries = summarise(first), summarise(second)
    differences = {"": difference(first.scores, second.scores, arguments.seed)}
    for key, part in split(first.scores).items():
        differences[key] = difference(part, split(second.scores)[key], arguments.seed)
    ids = most_changed(first.scores, second.scores, arguments.show)
    results = [find_results(folder / FILE, set(ids)) for folder in folders]
    page = render_comparison(
        _names(*folders),
        (first.scores, second.scores),
        summaries,
        only,
        {name: (results[0][name], results[1][name]) for name in ids},
        load_examples(second.settings, set(ids)),
        differences,
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = {
        "runs": [
            {"folder": str(folder), "metrics": one["metrics"]} for folder, one in zip(folders, summaries, strict=True)
        ],
        "samples": len(first.scores),
        "only_in": [list(ids) for ids in only],
        "differences": with_aliases(differences[""]),
        "parts": {key: with_aliases(part) for key, part in differences.items() if key},
    }
    (arguments.out / "comparison.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "index.html").write_text(page, encoding="utf-8")
    for (section, before), (_, after) in zip(sections(summaries[0]), sections(summaries[1]), strict=True):
        change = differences[section.key]["giou"]
        values = " to ".join(figure(one["metrics"]["giou"]["value"]) for one in (before, after))
        where = f"over {before['samples']} samples"
        print(f"{f'{section.title}: ' if section.title else ''}gIoU {values}: {_signed(change)} {where}")
    print(arguments.out / "index.html")
    return 0


def _signed(change: dict[str, Any]) -> str:
    interval = "" if change["low"] is None else f" ({change['low']:+.3f} to {change['high']:+.3f})"
    return f"{change['value']:+.3f}{interval}"


def _read(path: Path) -> Evaluated:
    """The scores of a run, in the order of its data set."""
    from rsagent_ros.evaluation.evaluator import Evaluated
    from rsagent_ros.evaluation.results import read_results

    settings, results = read_results(path)
    newest = {result.score.id: (result.score, result.measured) for result in results}
    pairs = sorted(newest.values(), key=lambda pair: pair[0].index)
    return Evaluated(settings, [score for score, _ in pairs], [measured for _, measured in pairs], [], [])


def _common(first: Evaluated, second: Evaluated) -> tuple[Evaluated, Evaluated, tuple[list[str], list[str]]]:
    """Both over the examples that both have, in one order, and what only one has.

    Raises:
        ValueError: They have none, or hold examples of one id to be of different truths.
    """
    from dataclasses import replace

    ours, theirs = ({score.id: score for score in one.scores} for one in (first, second))
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise ValueError("the two runs have no sample in common")
    for name in shared:
        if ours[name].expected is not theirs[name].expected:
            raise ValueError(
                f"sample {name} should be {ours[name].expected} in one run, {theirs[name].expected} in the other"
            )
        if ours[name].self_judged is not theirs[name].self_judged and not (
            _is_old(ours[name]) or _is_old(theirs[name])
        ):
            raise ValueError(
                f"sample {name} is held against an accepted mask in one run, and against a person's in the other; "
                "evaluate the older run again, with its --replies"
            )
    only = [name for name in ours if name not in theirs], [name for name in theirs if name not in ours]
    # A run of release 0.1.0 does not say whose masks the truth is: the other one's word counts.
    own = {name for name in shared if ours[name].self_judged or theirs[name].self_judged}

    def kept(one: Evaluated, scores: dict[str, Score]) -> Evaluated:
        measured = {score.id: measured for score, measured in zip(one.scores, one.measured, strict=True)}
        return replace(
            one,
            scores=[replace(scores[name], self_judged=name in own) for name in shared],
            measured=[measured[name] for name in shared],
        )

    return kept(first, ours), kept(second, theirs), only


def _is_old(score: Score) -> bool:
    """Whether it is of a run of release 0.1.0, which did not store whose masks the truth is."""
    return math.isnan(score.credit)


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Names for two folders: their own, or their paths where these are the same."""
    if first.resolve().name != second.resolve().name:
        return first.resolve().name, second.resolve().name
    return str(first), str(second)
