"""A training run as a process of its own, to be killed: `python training_runs.py sft|grpo RECIPE OUT [resume]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rsagent_ros.yaml_file import read_yaml
from rsagent_training.recipes import GrpoRecipe, SftRecipe


def reward_of_tokens(trace: Any, about: Any, config: Any) -> Any:
    """A reward that differs from sample to sample though a random policy does nothing right."""
    from rsagent_training.rewards import Reward

    shares = [sum(number % 5 for number in turn.token_ids) / len(turn.token_ids) for turn in trace.turns]
    return Reward(shares[0], tuple(shares), 0.0, shares[0])


def run(kind: str, recipe: SftRecipe | GrpoRecipe, out: Path, resume: bool) -> None:
    """Train to the end."""
    if isinstance(recipe, SftRecipe):
        from rsagent_training import sft

        sft.train(recipe, out, resume=resume)
        return
    from rsagent_training import grpo

    grpo.episode_reward = reward_of_tokens  # type: ignore[assignment]
    grpo.train(recipe, out, resume=resume)


def main(kind: str, recipe: str, out: str, resume: str = "") -> None:
    """From the command line."""
    kinds: dict[str, Any] = {"sft": SftRecipe, "grpo": GrpoRecipe}
    run(kind, read_yaml(Path(recipe), kinds[kind]), Path(out), bool(resume))


if __name__ == "__main__":
    main(*sys.argv[1:])
