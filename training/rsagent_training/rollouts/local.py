"""Rollouts in this process, by the very model that is trained: many episodes at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedModel

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome
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

    def __init__(
        self, checkpoint: Checkpoint, recipe: GrpoRecipe, segmenter: Segmenter[Any], *, temperature: float = 1.0
    ) -> None:
        """Prepare; at a temperature of 0 the likeliest token is taken, and seeds mean nothing."""
        self._checkpoint = checkpoint
        self._recipe = recipe
        self._segmenter = segmenter
        self._config = LocalConfig(
            recipe.checkpoint, side=recipe.side, context=recipe.max_tokens, temperature=temperature, top_p=1.0
        )

    def run(self, model: PreTrainedModel, scenes: Sequence[Example], step: int, seeds: Sequence[int]) -> list[Trace]:
        """Play one episode for each scene, as `Rollouts` has it; blocks."""
        policy = LocalPolicy(replace(self._checkpoint, model=model), self._config)
        traces = []
        for begin in range(0, len(scenes), self._recipe.rollout_batch):
            part = slice(begin, begin + self._recipe.rollout_batch)
            episodes = make_episodes(scenes[part], self._recipe, self._segmenter, policy.name, policy.pictures, step)
            drive_batch(episodes, _RolloutPolicy(policy, iter(seeds[part]), iter(episodes)))
            traces += traces_of(episodes)
        return traces

    def close(self) -> None:
        """Do nothing: all is in this process."""


@dataclass
class _RolloutPolicy:
    """A policy whose conversations have seeds of our choice: a run that is resumed samples what it would have.

    An episode whose chat has become too long for the context ends, and the others go on.

    Attributes:
        policy: It answers.
        seeds, episodes: Of the conversations, in the order in which they are opened.
    """

    policy: LocalPolicy
    seeds: Iterator[int]
    episodes: Iterator[Episode]

    def __post_init__(self) -> None:
        self._opened: dict[Conversation, tuple[LocalConversation, Episode]] = {}

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def pictures(self) -> PictureFormat:
        return self.policy.pictures

    def open(self) -> LocalConversation:
        conversation = self.policy.open(next(self.seeds))
        self._opened[conversation] = conversation, next(self.episodes)
        return conversation

    def reply_batch(
        self,
        conversations: Sequence[Conversation],
        new_messages: Sequence[list[Message]],
        *,
        limits: Sequence[ReplyLimits],
        cancel: CancelToken,
    ) -> list[Reply]:
        fitting = [
            number
            for number, (conversation, messages) in enumerate(zip(conversations, new_messages, strict=True))
            if self._fits(conversation, messages)
        ]
        if not fitting:
            return [Reply("")] * len(conversations)
        answered = self.policy.reply_batch(
            [conversations[number] for number in fitting],
            [[]] * len(fitting),
            limits=[limits[number] for number in fitting],
            cancel=cancel,
        )
        replies = dict(zip(fitting, answered, strict=True))
        return [replies.get(number, Reply("")) for number in range(len(conversations))]

    def _fits(self, conversation: Conversation, messages: list[Message]) -> bool:
        """Append the messages; where they leave no room for a reply, the episode ends."""
        opened, episode = self._opened[conversation]
        opened.append_messages(messages)
        count = len(opened.transcript.layout().ids)
        if count < self.policy.context:
            return True
        episode.stop(
            Outcome.GAVE_UP,
            ErrorCode.CONTEXT_TOO_LONG,
            f"the chat has {count} tokens, which leaves no room for a reply in max_tokens {self.policy.context}",
        )
        return False
