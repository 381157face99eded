"""Flags of a training run, and exit codes of all commands of training. Needs no torch."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.yaml_file import read_yaml
from rsagent_training.trainer.run_folder import TrainingStopped

EXTRA = "in the checkout: pip install -e '.[training]'"

RecipeT = TypeVar("RecipeT", contravariant=True)
Kind = TypeVar("Kind")


class Train(Protocol[RecipeT]):
    """A stage that trains, and returns the folder of its result."""

    def __call__(self, recipe: RecipeT, out: Path, *, resume: bool) -> Path:
        """Train; blocks."""
        ...


def with_exit_code(run: Callable[[argparse.Namespace], str | None]) -> Callable[[argparse.Namespace], int]:
    """A command from a function that returns the sentence to print, or nothing.

    Exit code 1 and one sentence for what a user can mend; a fault of ours keeps its traceback.
    """

    def command(arguments: argparse.Namespace) -> int:
        try:
            sentence = run(arguments)
        except ImportError as error:
            sys.stderr.write(f"rsagent: training needs packages that are not installed ({error}); {EXTRA}\n")
            return 1
        except (RunFailed, TrainingStopped, OSError, ValueError) as error:
            sys.stderr.write(f"rsagent: {error}\n")
            return 1
        if sentence is not None:
            sys.stdout.write(f"{sentence}\n")
        return 0

    return command


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a training run: its recipe, its folder, and changes to the recipe."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file such as those in config/training")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was broken off")
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="NAME=VALUE",
        help="another value than the recipe's, such as optimisation.seed=3; may be given several times",
    )  # fmt: skip


def train_from(arguments: argparse.Namespace, kind: type[Kind], train: Train[Kind]) -> str:
    """Run a stage with the flags of `add_run_arguments`; returns the folder of its result."""
    recipe = read_yaml(arguments.recipe, kind, arguments.changes)
    return str(train(recipe, arguments.out, resume=arguments.resume))


def main_of(kind: type[Kind], train: Train[Kind], argv: Sequence[str] | None = None) -> int:
    """Run a stage as a program of its own, as `accelerate launch -m` does. Returns the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    return with_exit_code(lambda arguments: train_from(arguments, kind, train))(parser.parse_args(argv))
