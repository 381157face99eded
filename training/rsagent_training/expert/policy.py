"""`Expert`: the Policy of one scene and one episode."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.agent.turn import Turn
from rsagent_ros.data.example import Example
from rsagent_training.expert.config import ExpertConfig
from rsagent_training.expert.episode_state import EpisodeState, ExpertReply
from rsagent_training.expert.strategy import play


class Expert:
    """Shows how to answer one scene; made anew for every episode.

    The truth tells it where things are. Masks it sees through `see`, which `drive` calls after each turn: a policy gets
    a picture of them, and the expert says of them only what that picture shows.

    Attributes:
        name: What records call it.
        pictures: The format of the chat: of the family of models that shall learn from it.
    """

    name = "expert"

    def __init__(
        self,
        scene: Example,
        seed: int | list[int] = 0,
        pictures: PictureFormat = DEFAULT_PICTURES,
        config: ExpertConfig | None = None,
    ) -> None:
        """Prepare for one episode; looks at the scene for about 0.3 s.

        Args:
            scene: With its truth.
            seed: Of manners and wordings; the same seed and segmenter give the same episode.
            pictures: How pictures and coordinates are.
            config: How often it does what.
        """
        self.pictures = pictures
        self._state = EpisodeState(scene, np.random.default_rng(seed), pictures, config or ExpertConfig())
        self._replies: list[ExpertReply] = []

    @property
    def learn(self) -> tuple[bool, ...]:
        """Whether each reply so far is worth learning."""
        return tuple(reply.learn for reply in self._replies)

    def see(self, turn: Turn) -> None:
        """The turn that was recorded; pass it as `on_turn` of `drive`."""
        self._state.see(turn)

    def open(self) -> ExpertConversation:
        """Begin.

        Raises:
            RuntimeError: It has had its episode.
        """
        if self._replies:
            raise RuntimeError("an Expert is made for one episode; make another one")
        return ExpertConversation(self._state, self._replies)


class ExpertConversation:
    """The expert's part in one episode."""

    def __init__(self, state: EpisodeState, replies: list[ExpertReply]) -> None:
        self._state = state
        self._replies: Iterator[ExpertReply] = play(state)
        self._given = replies

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """The next reply; takes milliseconds."""
        self._state.observe(new_messages[-1])
        self._state.takes_words = "find" in limits.tools
        reply = next(self._replies)
        self._given.append(reply)
        return Reply(reply.text)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
