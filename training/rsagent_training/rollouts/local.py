"""Rollouts in this process, by the very model that is trained: many episodes at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedModel

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.local.policy import LocalConversation, LocalPolicy
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.rollouts.episodes import make_episodes, traces_of


class LocalRollouts:
    """Rollouts by the very model that is trained, in this process."""

    def __init__(self, checkpoint: Checkpoint, recipe: GrpoRecipe, segmenter: Segmenter[Any]) -> None:
        self._checkpoint = checkpoint
        self._recipe = recipe
        self._segmenter = segmenter
        self._config = LocalConfig(
            recipe.checkpoint, side=recipe.side, context=recipe.max_tokens, temperature=1.0, top_p=1.0
        )

    def run(self, model: PreTrainedModel, scenes: Sequence[Example], step: int, seeds: Sequence[int]) -> list[Trace]:
        """Play one episode for each scene, as `Rollouts` has it; blocks."""
        policy = LocalPolicy(replace(self._checkpoint, model=model), self._config)
        traces = []
        for begin in range(0, len(scenes), self._recipe.rollout_batch):
            part = slice(begin, begin + self._recipe.rollout_batch)
            episodes = make_episodes(scenes[part], self._recipe, self._segmenter, policy.name, policy.pictures, step)
            drive_batch(episodes, _SeededPolicy(policy, iter(seeds[part])))
            traces += traces_of(episodes)
        return traces


@dataclass
class _SeededPolicy:
    """A policy whose conversations have seeds of our choice: a run that is resumed samples what it would have."""

    policy: LocalPolicy
    seeds: Iterator[int]

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def pictures(self) -> PictureFormat:
        return self.policy.pictures

    def open(self) -> LocalConversation:
        return self.policy.open(next(self.seeds))

    def reply_batch(
        self,
        conversations: Sequence[Conversation],
        new_messages: Sequence[list[Message]],
        *,
        limits: Sequence[ReplyLimits],
        cancel: CancelToken,
    ) -> list[Reply]:
        return self.policy.reply_batch(conversations, new_messages, limits=limits, cancel=cancel)
