"""Episodes for reinforcement learning: our one `Episode`, many at the same time, by the policy as it is now.

Sampling is at temperature 1 without any cut or grammar: the recorded log-probabilities are then those of the policy
that is trained, and a grammar would make the reward for the format void.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedModel

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.scene import Scene
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.local.policy import LocalConversation, LocalPolicy
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.runs import TrainingStopped

ENDLESS = 1e9
"""Seconds: in training the clock ends nothing, or a slow machine would learn other things."""


class Rollouts(Protocol):
    """Who runs the episodes."""

    def run(self, model: PreTrainedModel, scenes: Sequence[Scene], step: int, seeds: Sequence[int]) -> list[Trace]:
        """One finished episode for each scene, in order.

        Args:
            model: The policy as it is now, in eval mode.
            scenes: What the episodes are about; a group has its scene several times.
            step: Optimizer steps so far.
            seeds: Of each episode.

        Raises:
            TrainingStopped: An episode failed: not by what the policy did, but because it could not be run.
        """
        ...


class LocalRollouts:
    """By the very model that is trained, in this process."""

    def __init__(self, checkpoint: Checkpoint, recipe: GrpoRecipe, segmenter: Segmenter[Any]) -> None:
        self._checkpoint = checkpoint
        self._recipe = recipe
        self._segmenter = segmenter
        self._config = LocalConfig(
            recipe.checkpoint, side=recipe.side, context=recipe.max_tokens, temperature=1.0, top_p=1.0
        )

    def run(self, model: PreTrainedModel, scenes: Sequence[Scene], step: int, seeds: Sequence[int]) -> list[Trace]:
        """As `Rollouts`; blocks."""
        policy = LocalPolicy(replace(self._checkpoint, model=model), self._config)
        traces = []
        for begin in range(0, len(scenes), self._recipe.rollout_batch):
            part = slice(begin, begin + self._recipe.rollout_batch)
            episodes = make_episodes(scenes[part], self._recipe, self._segmenter, policy.name, policy.pictures)
            seeded = _Seeded(policy, iter(seeds[part]), [])
            drive_batch(episodes, seeded)
            traces += finished(episodes)
            for talk, trace in zip(seeded.held, traces[begin:], strict=True):
                _check_said(talk, trace)
        return traces


@dataclass
class _Seeded:
    """A policy whose conversations have seeds of our choice: a run that is resumed samples what it would have."""

    policy: LocalPolicy
    seeds: Iterator[int]
    held: list[LocalConversation]

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def pictures(self) -> PictureFormat:
        return self.policy.pictures

    def open(self) -> LocalConversation:
        self.held.append(self.policy.open(next(self.seeds)))
        return self.held[-1]

    def reply_batch(
        self,
        conversations: Sequence[Conversation],
        new_messages: Sequence[list[Message]],
        *,
        limits: Sequence[ReplyLimits],
        cancel: CancelToken,
    ) -> list[Reply]:
        return self.policy.reply_batch(conversations, new_messages, limits=limits, cancel=cancel)


def make_episodes(
    scenes: Sequence[Scene], recipe: GrpoRecipe, segmenter: Segmenter[Any], policy_name: str, pictures: PictureFormat
) -> list[Episode]:
    """An episode for each scene."""
    budget = Budget(
        seconds=ENDLESS,
        max_turns=recipe.max_turns,
        max_reply_tokens=recipe.max_reply_tokens,
        max_tokens=recipe.max_turns * recipe.max_reply_tokens,
    )
    return [
        Episode(
            scene.image, scene.instruction, segmenter, budget,
            goal_id=scene.id, policy_name=policy_name, pictures=pictures, previous=scene.previous,
        )
        for scene in scenes
    ]  # fmt: skip


def finished(episodes: Sequence[Episode]) -> list[Trace]:
    """Their traces.

    Raises:
        TrainingStopped: One failed.
    """
    for episode in episodes:
        if episode.result.outcome is Outcome.FAILED:
            raise TrainingStopped(
                f"the episode on scene {episode.trace.goal_id} failed: {episode.result.error_msg}; nothing was learned "
                "from this step, and the run can be resumed"
            )
    return [episode.trace for episode in episodes]


def seeds_of(seed: int, step: int, process: int, count: int) -> list[int]:
    """Different seeds for each episode of each step, the same whenever that step is made again."""
    words = np.random.SeedSequence((seed, step, process)).generate_state(count, np.uint64)
    return [int(word) for word in words]


def _check_said(talk: LocalConversation, trace: Trace) -> None:
    """Refuse a conversation that memory forced to smaller pictures: the trace would draw others."""
    if talk.transcript.halved:
        raise TrainingStopped(
            f"memory is full while episodes are sampled (scene {trace.goal_id}); lower rollout_batch, side or max_turns"
        )
