"""`rsagent score`: masks made by anyone else's system, with the same metrics and the same report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.evaluation.commands.evaluate import KINDS, add_dataset_arguments, report

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(commands: Commands) -> None:
    """Add `score` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "score",
        help="score the masks of any system",
        description="Score masks by the id of their sample; one that is missing counts with 0. Exit code 3: the report "
        "is there, and something in truth or predictions was skipped or is odd.",
    )
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="ID.png or predictions.jsonl")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for results and report")
    parser.add_argument("--dataset", choices=KINDS, default="masks", metavar="KIND", help="of the truth (%(default)s)")
    add_dataset_arguments(parser)
    parser.add_argument("--show", type=int, default=12, metavar="N", help="worst samples on the page (%(default)d)")
    parser.add_argument("--quiet", action="store_true", help="print only the last line")
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from rsagent_ros.datasets import Dataset
    from rsagent_ros.evaluation.commands.progress import ProgressBar
    from rsagent_ros.evaluation.predictions import score_predictions

    try:
        dataset = Dataset(arguments.dataset, str(arguments.truth), arguments.split, arguments.images)
        with ProgressBar(arguments.quiet) as bar:
            found = score_predictions(dataset, arguments.predictions, arguments.out, bar)
    except ValueError as error:
        print(f"rsagent score: {error}", file=sys.stderr)
        return 2
    return report(found, arguments.out, arguments.show)
