"""`rsagent sft`, `grpo`, `merge` and `miniature`: flags, and nothing heavy until one of them runs."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsagent_ros.yaml_file import read_yaml
from rsagent_training.guarded import guarded


def add_sft(commands: Any) -> None:
    """Add `rsagent sft`."""
    parser = commands.add_parser(
        "sft",
        help="train a policy on trajectories",
        description="Supervised training on trajectories: TRL's SFTTrainer on the agent's own tokens. Several GPUs: "
        "accelerate launch --config_file config/training/fsdp.yaml -m rsagent_training.sft RECIPE --out DIR",
    )
    _add_run(parser)
    parser.set_defaults(command=guarded(_sft))


def add_grpo(commands: Any) -> None:
    """Add `rsagent grpo`."""
    parser = commands.add_parser(
        "grpo",
        help="train a policy by reinforcement on scenes",
        description="Reinforcement learning by GRPO: the policy plays episodes on scenes and is rewarded turn by turn.",
    )
    _add_run(parser)
    parser.set_defaults(command=guarded(_grpo))


def add_merge(commands: Any) -> None:
    """Add `rsagent merge`."""
    parser = commands.add_parser(
        "merge",
        help="make a checkpoint of what was trained",
        description="Merge a run's adapter into its checkpoint; vLLM and the policy `local` load the result.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run of sft or grpo")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="new folder for the checkpoint")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), help="of the weights (as the base has them)")
    parser.add_argument("--metrics", type=Path, metavar="JSON", help="of an evaluation, for the model card")
    parser.add_argument("--unfinished", action="store_true", help="take the newest step of a run that has not ended")
    parser.set_defaults(command=guarded(_merge))


def add_miniature(commands: Any) -> None:
    """Add `rsagent miniature`."""
    parser = commands.add_parser(
        "miniature",
        help="train a tiny policy from nothing through all stages, on the CPU",
        description="simulate, synthesize, sft, grpo, merge and evaluate in a small world; a finished stage is not run "
        "again.",
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="such as config/training/miniature_smoke.yaml")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="NAME=VALUE")
    parser.set_defaults(command=guarded(_miniature))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of them without `rsagent`, as `accelerate launch -m` does. Returns the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    parser = argparse.ArgumentParser(prog="python -m rsagent_training")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_sft, add_grpo, add_merge, add_miniature):
        add(commands)
    arguments = parser.parse_args(argv)
    return int(arguments.command(arguments))


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a YAML file such as those in config/training")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was broken off")
    parser.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="NAME=VALUE",
        help="another value than the recipe's, such as optimisation.seed=3; may be given several times",
    )  # fmt: skip


def _sft(arguments: argparse.Namespace) -> None:
    from rsagent_training import sft
    from rsagent_training.recipes import SftRecipe

    recipe = read_yaml(arguments.recipe, SftRecipe, arguments.changes)
    _say(sft.train(recipe, arguments.out, resume=arguments.resume))


def _grpo(arguments: argparse.Namespace) -> None:
    from rsagent_training import grpo
    from rsagent_training.recipes import GrpoRecipe

    recipe = read_yaml(arguments.recipe, GrpoRecipe, arguments.changes)
    _say(grpo.train(recipe, arguments.out, resume=arguments.resume))


def _merge(arguments: argparse.Namespace) -> None:
    from rsagent_training.merge import merge

    _say(
        merge(
            arguments.run, arguments.to,
            precision=arguments.precision, metrics=arguments.metrics, unfinished=arguments.unfinished,
        )
    )  # fmt: skip


def _miniature(arguments: argparse.Namespace) -> None:
    from rsagent_training.miniature.recipe import load
    from rsagent_training.miniature.stages import run

    run(load(arguments.recipe, arguments.changes), arguments.out)


def _say(result: Path) -> None:
    sys.stdout.write(f"{result}\n")
