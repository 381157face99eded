"""An episode that another engine drives: it samples the replies, this plays them and says what they are worth.

    environment = EpisodeEnvironment(segmenter, family.pictures(side=512))
    messages = environment.reset(scene)
    while messages:
        messages = environment.step(sample(messages))
    environment.reward.total

It is the agent's own `Episode`: the same prompt, tools and limits of turns as on the robot and in `rsagent grpo`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_training.rewards import Reward, RewardConfig, episode_reward
from rsagent_training.rollouts.episodes import ENDLESS


class EpisodeEnvironment:
    """Episodes one after the other; for one thread, and for as many environments as are played at a time."""

    def __init__(
        self,
        segmenter: Segmenter[Any],
        pictures: PictureFormat,
        *,
        max_turns: int = 8,
        reward: RewardConfig | None = None,
        name: str = "policy",
    ) -> None:
        """Prepare.

        Args:
            segmenter: May be shared among environments of one thread; of several, wrap it in `OneAtATime`.
            pictures: Format of pictures, coordinates and tools that the policy wants: `Family.pictures`.
            max_turns: Replies of an episode.
            reward: Constants of the reward; by default those of `config/training/rewards.yaml`.
            name: Of the policy, for records.
        """
        self._segmenter = segmenter
        self._pictures = pictures
        self._max_turns = max_turns
        self._reward = RewardConfig() if reward is None else reward
        self._name = name
        self._played: tuple[Episode, Example] | None = None

    def reset(self, scene: Example) -> list[Message]:
        """Begin an episode; returns the system prompt, and the instruction with the whole view.

        Raises:
            RunFailed: INVALID_GOAL or BAD_IMAGE.
        """
        episode = Episode(
            scene.image, scene.instruction, self._segmenter, Budget(seconds=ENDLESS, max_turns=self._max_turns),
            goal_id=scene.id, policy_name=self._name, pictures=self._pictures, previous=scene.previous,
        )  # fmt: skip
        self._played = episode, scene
        return episode.new_messages()

    def step(self, reply: str | Reply) -> list[Message]:
        """Play a reply, whatever it says; returns what the policy is told. Blocks for the tool.

        Returns:
            The observation, or what was wrong with the reply; nothing once the episode has ended.
        """
        self._episode.step(Reply(reply) if isinstance(reply, str) else reply)
        return [] if self.done else self._episode.new_messages()

    def stop(self) -> None:
        """End an episode for which the engine has no tokens left: the policy gave up. One that has ended stays."""
        self._episode.stop(Outcome.GAVE_UP, ErrorCode.CONTEXT_TOO_LONG, "the engine had no room for another reply")

    @property
    def done(self) -> bool:
        """Whether the episode has ended."""
        return self._episode.done

    @property
    def trace(self) -> Trace:
        """The episode's record so far."""
        return self._episode.trace

    @property
    def reward(self) -> Reward:
        """Worth of the episode, and of each of its turns, by the rules of `rsagent grpo`.

        Raises:
            ValueError: It has not ended.
        """
        return episode_reward(self.trace, self._scene, self._reward)

    @property
    def _episode(self) -> Episode:
        return self._begun[0]

    @property
    def _scene(self) -> Example:
        return self._begun[1]

    @property
    def _begun(self) -> tuple[Episode, Example]:
        if self._played is None:
            raise RuntimeError("no episode has begun; call reset first")
        return self._played


def as_chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as chat templates and processors of transformers take them, with PIL images in their places."""
    return [{"role": message.role, "content": content_of(message)} for message in messages]


def content_of(message: Message) -> list[dict[str, Any]]:
    """The parts of a message in order: `{"type": "text", ...}` and `{"type": "image", "image": ...}`."""
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image", "image": Image.fromarray(part.pixels)}
        for part in message.parts
    ]
