"""`rsagent evaluate`: run the agent over a dataset, and report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.agent.budget import Budget
from rsagent_ros.backends import add_arguments, chosen
from rsagent_ros.budget_arguments import add_budget_arguments, add_vote_arguments, budget_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rsagent_ros.evaluation.evaluator import Evaluated, EvaluationConfig
    from rsagent_ros.scoring.score import Score

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

# As in evaluation/datasets, which the help must not import: it reads OpenCV and more.
KINDS = ("scenes", "records", "bag", "masks", "reasonseg", "refcoco", "refcoco+", "refcocog", "grefcoco")

SKIPPED = 3
"""Exit code: the report is there, and something in the data was skipped or is odd."""

SECONDS = 120.0
"""Default time budget of an episode: quality is measured, and the robot's 8 s would measure this machine as well."""


def add_command(commands: Commands) -> None:
    """Add `evaluate` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "evaluate",
        help="run the agent over a dataset and report",
        description="Run the agent over a dataset; every sample counts, failures with 0. A killed run goes on with the "
        "same command. Exit code 3: the report is there, and something in the data was skipped or is odd.",
    )
    parser.add_argument("dataset", choices=KINDS, metavar="KIND", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of the dataset")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results and report")
    add_dataset_arguments(parser)
    add_budget_arguments(parser, seconds=SECONDS)
    parser.add_argument("--max-tokens", type=int, default=Budget.max_tokens, metavar="N", help="(%(default)d)")
    add_vote_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of whatever is drawn (%(default)d)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="so many samples, drawn with the seed (all)")
    parser.add_argument("--in-flight", type=int, default=1, metavar="N", help="episodes at a time, for a model server")
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes, each with its models; needs Ray"
    )
    parser.add_argument("--ray", default="", metavar="ADDRESS", help="of a Ray cluster for the workers, or `auto`")
    parser.add_argument("--gpus-per-worker", type=float, default=0.0, metavar="N", help="0.5: two share one (0)")
    parser.add_argument("--replies", default="", metavar="DIR", help="repeat the replies of that earlier run")
    parser.add_argument("--show", type=int, default=12, metavar="N", help="wrong samples with pictures (%(default)d)")
    parser.add_argument("--quiet", action="store_true", help="print only the last line")
    add_arguments(parser)
    parser.set_defaults(command=_run)


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the published datasets."""
    parser.add_argument("--split", default="", metavar="NAME", help="of a published dataset, such as val or testA")
    parser.add_argument("--images", default="", metavar="DIR", help="COCO's train2014 images (beside PATH)")


def _run(arguments: argparse.Namespace) -> int:
    from rsagent_ros.evaluation.commands.progress import ProgressBar
    from rsagent_ros.evaluation.evaluator import evaluate

    try:
        config = _config(arguments)
        with ProgressBar(arguments.quiet) as bar:
            found = evaluate(config, arguments.out, bar)
    except ValueError as error:
        print(f"rsagent evaluate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        _tell("stopped; the same command goes on where it was")
        return 130
    return report(found, arguments.out, arguments.show)


def _config(arguments: argparse.Namespace) -> EvaluationConfig:
    from rsagent_ros.datasets import Dataset
    from rsagent_ros.evaluation.cluster import Workers
    from rsagent_ros.evaluation.evaluator import EvaluationConfig

    if (arguments.ray or arguments.gpus_per_worker) and not arguments.workers:
        raise ValueError("--ray and --gpus-per-worker are about workers; say how many with --workers")
    workers = None
    if arguments.workers:
        workers = Workers(arguments.workers, arguments.in_flight, arguments.ray, arguments.gpus_per_worker)
    return EvaluationConfig(
        Dataset(arguments.dataset, str(arguments.path), arguments.split, arguments.images),
        chosen(arguments),
        budget_of(arguments),
        arguments.seed,
        arguments.limit,
        arguments.in_flight,
        workers,
        arguments.replies,
    )


def report(found: Evaluated, out: Path, show: int) -> int:
    """Write the report, print one line about it, and return the exit code."""
    from rsagent_ros.evaluation.evaluator import nothing_left
    from rsagent_ros.evaluation.report.files import write_report
    from rsagent_ros.evaluation.report.summary import SELF_JUDGED, split

    if not found.scores:
        raise nothing_left(found.skipped)
    page = write_report(out, found, show)
    notes = [
        f"{'on accepted masks of its own ' if key == SELF_JUDGED else ''}{_figures(part)}"
        for key, part in (split(found.scores) or {"": found.scores}).items()
    ]
    failed = sum(not score.answered for score in found.scores)
    faults = sum(one.fault for one in found.skipped)
    for count, name in ((failed, "failed"), (faults, "skipped"), (len(found.remarks), "remarks")):
        notes += [f"{count} {name}"] if count else []
    _tell(f"{', '.join(notes)}: {page}")
    return SKIPPED if found.faults else 0


def _figures(scores: Sequence[Score]) -> str:
    from rsagent_ros.evaluation.report.tables import figure
    from rsagent_ros.scoring.metrics import values

    rates = values(scores)
    return f"gIoU {figure(rates['giou'])}, cIoU {figure(rates['ciou'])}, {len(scores)} samples"


def _tell(sentence: str) -> None:
    print(sentence, flush=True)
