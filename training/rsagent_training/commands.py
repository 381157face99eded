"""`rsagent sft`, `grpo`, `rft`, `merge` and `miniature`: flags, and nothing heavy until one of them runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rsagent_training.command_line import add_run_arguments, train_from, with_exit_code


def add_sft(commands: Any) -> None:
    """Add `rsagent sft`."""
    parser = commands.add_parser(
        "sft",
        help="supervised fine-tuning on trajectories",
        description="Supervised training on trajectories: TRL's SFTTrainer on the agent's own tokens. Several GPUs: "
        "accelerate launch --config_file config/training/fsdp.yaml -m rsagent_training.sft RECIPE --out DIR",
    )
    add_run_arguments(parser)
    parser.set_defaults(command=with_exit_code(_sft))


def add_grpo(commands: Any) -> None:
    """Add `rsagent grpo`."""
    parser = commands.add_parser(
        "grpo",
        help="reinforcement learning on scenes",
        description="Reinforcement learning by GRPO: the policy plays episodes on scenes and is rewarded turn by turn.",
    )
    add_run_arguments(parser)
    parser.set_defaults(command=with_exit_code(_grpo))


def add_rft(commands: Any) -> None:
    """Add `rsagent rft`."""
    parser = commands.add_parser(
        "rft",
        help="rollouts that came right, as trajectories",
        description="Play the episodes of a recipe of grpo with its checkpoint and keep those that came right, as a "
        "folder of trajectories for `rsagent sft`.",
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="of grpo, such as config/training/grpo.yaml")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for the trajectories")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="NAME=VALUE")
    parser.set_defaults(command=with_exit_code(_rft))


def add_merge(commands: Any) -> None:
    """Add `rsagent merge`."""
    parser = commands.add_parser(
        "merge",
        help="merge a trained adapter into a checkpoint",
        description="Merge a run's adapter into its checkpoint; vLLM and the policy `local` load the result.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run of sft or grpo")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="new folder for the checkpoint")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), help="of the weights (as the base has them)")
    parser.add_argument("--metrics", type=Path, metavar="JSON", help="of an evaluation, for the model card")
    taken = parser.add_mutually_exclusive_group()
    taken.add_argument("--unfinished", action="store_true", help="take the newest step of a run that has not ended")
    taken.add_argument("--best", action="store_true", help="take what was best on held-out scenes")
    parser.set_defaults(command=with_exit_code(_merge))


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
    parser.set_defaults(command=with_exit_code(_miniature))


def _sft(arguments: argparse.Namespace) -> str:
    from rsagent_training.recipes import SftRecipe
    from rsagent_training.sft import train

    return train_from(arguments, SftRecipe, train)


def _grpo(arguments: argparse.Namespace) -> str:
    from rsagent_training.grpo import train
    from rsagent_training.recipes import GrpoRecipe

    return train_from(arguments, GrpoRecipe, train)


def _rft(arguments: argparse.Namespace) -> str:
    from rsagent_ros.yaml_file import read_yaml
    from rsagent_training.recipes import GrpoRecipe
    from rsagent_training.rft import sample

    count = sample(read_yaml(arguments.recipe, GrpoRecipe, arguments.changes), arguments.out)
    return f"{count} right rollouts in {arguments.out}"


def _merge(arguments: argparse.Namespace) -> str:
    from rsagent_training.merge import merge

    to = merge(
        arguments.run, arguments.to,
        precision=arguments.precision, metrics=arguments.metrics, unfinished=arguments.unfinished,
        best=arguments.best,
    )  # fmt: skip
    return str(to)


def _miniature(arguments: argparse.Namespace) -> None:
    from rsagent_training.miniature.recipe import load
    from rsagent_training.miniature.stages import run

    run(load(arguments.recipe, arguments.changes), arguments.out)
