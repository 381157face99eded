"""Rejection sampling: the policy plays, and the rollouts that came right are trajectories to learn from.

    rsagent rft config/training/grpo.yaml --out data/rft       # the recipe of `rsagent grpo`, for its rollouts alone
    rsagent sft config/training/sft.yaml --out runs/rft --set 'trajectories=[data/rft]' \
        --set checkpoint=checkpoints/rsagent-sft

It learns from the same masks as GRPO, by imitation alone: the plainest thing that reinforcement has to be better than.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import is_bad_reply, prediction_of
from rsagent_ros.scoring.score import score
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.rewards.quality import answer_quality
from rsagent_training.rollouts.episodes import seeds_of
from rsagent_training.rollouts.local import LocalRollouts
from rsagent_training.trainer.mix import Mix
from rsagent_training.trainer.policy_model import load_policy_model, load_segmenter
from rsagent_training.trajectories import Trajectory, write_trajectories


def sample(recipe: GrpoRecipe, out: Path) -> int:
    """Write the right ones of a recipe's rollouts as a folder of trajectories; blocks, with progress on stderr.

    As many episodes are played as GRPO would play with this recipe (`steps`, `batch`, `samples`), scenes one after the
    other, all with the checkpoint as it is. A reply that could not be used carries no loss.

    Returns:
        How many were right.

    Raises:
        FileExistsError: The folder holds trajectories already.
        FileNotFoundError, ValueError: Scenes that are missing or damaged, a recipe with a server, or no right rollout.
        RunFailed: The checkpoint or the segmenter can't be loaded.
        TrainingStopped: An episode failed.
    """
    if recipe.server is not None:
        raise ValueError("rollouts to learn from are sampled in this process; leave out server")
    mix = Mix(recipe.mix, recipe.optimisation.seed)
    written = write_trajectories(out, _right(recipe, mix))
    if not written:
        raise ValueError(f"no rollout of {recipe.checkpoint} came right, so there is nothing to learn; begin with SFT")
    return written


def _right(recipe: GrpoRecipe, mix: Mix) -> Iterator[tuple[Example, Trajectory]]:
    checkpoint = load_policy_model(recipe)
    model: Any = checkpoint.model.eval()
    if not recipe.optimisation.cpu:
        import torch

        model.to("cuda" if torch.cuda.is_available() else "cpu")
    rollouts = LocalRollouts(checkpoint, recipe, load_segmenter(recipe))
    steps = recipe.steps or max(1, len(mix) // recipe.batch)
    played = right = 0
    for step in tqdm(range(steps), desc="rollouts"):
        chosen = [mix[(step * recipe.batch + place) % len(mix)] for place in range(recipe.batch)]
        scenes = [scene for scene in chosen for _ in range(recipe.samples)]
        seeds = seeds_of(recipe.optimisation.seed, step, 0, len(scenes))
        for number, (scene, trace) in enumerate(zip(scenes, rollouts.run(model, scenes, step, seeds), strict=True)):
            made = score(prediction_of(trace), scene)
            played += 1
            if not made.right:
                continue
            right += 1
            learn = tuple(not is_bad_reply(turn) for turn in trace.turns)
            name = f"{scene.id}-{step}-{number}"
            yield scene, Trajectory(name, scene.id, trace, learn, answer_quality(made), f"rollout of {trace.policy}")
    sys.stderr.write(f"{right} of {played} rollouts came right\n")
