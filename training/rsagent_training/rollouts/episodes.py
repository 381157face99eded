"""The episodes of a training step: our one `Episode` on each scene, and what becomes of it.

Sampling is at temperature 1 without any cut or grammar: the recorded log-probabilities are then those of the policy
that is trained, and a grammar would make the reward for the format void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedModel

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.trainer.run_folder import TrainingStopped

ENDLESS = 1e9
"""Seconds: in training the clock ends nothing, or a slow machine would learn other things."""


class Rollouts(Protocol):
    """A way to run the episodes of a step."""

    def run(self, model: PreTrainedModel, scenes: Sequence[Example], step: int, seeds: Sequence[int]) -> list[Trace]:
        """One finished episode for each scene, in order.

        Args:
            model: The policy as it is now, in eval mode.
            scenes: What the episodes are about; a group has its scene several times.
            step: Optimizer steps so far.
            seeds: Of each episode.

        Returns:
            An episode that could not be run, by no fault of the policy, is FAILED. One whose chat became too long for
            the policy gave up.

        Raises:
            TrainingStopped: None can be run.
        """
        ...

    def close(self) -> None:
        """Let go of what the rollouts hold elsewhere; raises nothing."""
        ...


def make_episodes(
    scenes: Sequence[Example],
    recipe: GrpoRecipe,
    segmenter: Segmenter[Any],
    policy_name: str,
    pictures: PictureFormat,
    step: int,
) -> list[Episode]:
    """An episode for each scene; those of one scene have the same limit of turns, which the step decides."""
    return [
        Episode(
            scene.image, scene.instruction, segmenter, _budget(recipe, turn_limit(recipe, scene, step)),
            goal_id=scene.id, policy_name=policy_name, pictures=pictures, previous=scene.previous,
        )
        for scene in scenes
    ]  # fmt: skip


def turn_limit(recipe: GrpoRecipe, scene: Example, step: int) -> int:
    """The limit of turns of a scene's episodes in a step: the same whenever that step is made again."""
    if recipe.min_turns is None:
        return recipe.max_turns
    rng = np.random.default_rng((recipe.optimisation.seed, step, *scene.id.encode()))
    return int(rng.integers(recipe.min_turns, recipe.max_turns + 1))


def _budget(recipe: GrpoRecipe, turns: int) -> Budget:
    return Budget(
        seconds=ENDLESS,
        max_turns=turns,
        max_reply_tokens=recipe.max_reply_tokens,
        max_tokens=turns * recipe.max_reply_tokens,
    )


def traces_of(episodes: Sequence[Episode]) -> list[Trace]:
    """The traces of finished episodes, in order; where the chat became too long, the policy gave up.

    Raises:
        TrainingStopped: Full memory made pictures smaller: the turns of an episode saw different ones.
    """
    for episode in episodes:
        if any(turn.picture_sizes for turn in episode.trace.turns):
            raise TrainingStopped(
                f"memory is full while episodes are sampled (scene {episode.trace.goal_id}); lower rollout_batch, side "
                "or max_turns"
            )
    return [
        replace(trace, outcome=Outcome.GAVE_UP) if trace.error_code is ErrorCode.CONTEXT_TOO_LONG else trace
        for trace in (episode.trace for episode in episodes)
    ]


def seeds_of(seed: int, step: int, process: int, count: int) -> list[int]:
    """Different seeds for each episode of each step, the same whenever that step is made again."""
    words = np.random.SeedSequence((seed, step, process)).generate_state(count, np.uint64)
    return [int(word) for word in words]
