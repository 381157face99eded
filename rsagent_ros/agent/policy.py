"""The first seam: the policy.

A Policy opens one Conversation per episode; a Conversation turns messages into a Reply.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Protocol, runtime_checkable

from rsagent_ros.agent.actions import ALL_TOOLS, ToolSet
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.pictures import PictureFormat

Stop = Literal["call", "length", "cancel", "deadline"]


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """Limits of one reply.

    Attributes:
        max_tokens: Most tokens to sample; the reply is cut there, with stop `length`.
        deadline: `time.monotonic()` in seconds after which the reply is of no use, with stop `deadline`.
        tools: Names of the tools that it can call.
    """

    max_tokens: int
    deadline: float
    tools: ToolSet = ALL_TOOLS


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a policy.

    Attributes:
        text: Word for word, the closing `</tool_call>` included.
        stop: `call`: it ended by itself; `length`: cut at max_tokens; `cancel` and `deadline`: broken off, `text` is
            what had come by then.
        token_ids, logprobs: Of the sampled tokens, where the backend has them; finite.
        prompt_tokens: Tokens the model was given, all turns together; 0 where unknown, like the next two.
        cached_tokens: Of these, how many were not computed again.
        sampled_tokens: Tokens of this reply.
        seconds: Steady clock, from request to the last token.
        degraded: A fallback gave this reply.
        picture_sizes: Width and height in pixels of every picture in the chat as the model saw it, in order, where that
            is not as the episode drew them: memory was full, and they were made smaller. Else empty.

    Raises:
        ValueError: A number that no record could hold: not finite, or a negative count.
    """

    text: str
    stop: Stop = "call"
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    sampled_tokens: int = 0
    seconds: float = 0.0
    degraded: bool = False
    picture_sizes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.seconds, *(self.logprobs or ())))):
            raise ValueError("a reply whose seconds or logprobs are not finite")
        if min(self.prompt_tokens, self.cached_tokens, self.sampled_tokens) < 0:
            raise ValueError("a reply with a negative number of tokens")
        if min(chain((1,), *self.picture_sizes)) < 1:
            raise ValueError("a reply whose model saw a picture without pixels")


class Conversation(Protocol):
    """One episode's talk with the policy. Owns token ids, images and KV cache. Used by one thread at a time."""

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """Answer. Blocks until the reply is whole, `limits` are reached, or `cancel` is set.

        Args:
            new_messages: Only what was added since the last call; what was sent or sampled before is never sent
                through a tokenizer again. The conversation remembers its own replies.
            limits: Tokens and time of this one reply.
            cancel: Set from another thread; the reply should end soon after, with stop `cancel`.

        Raises:
            RunFailed: The goal can't go on (server away, out of memory, context too long).
        """
        ...

    def close(self) -> None:
        """Free what the conversation holds. May be called twice, and while a reply hangs in another thread."""
        ...


class Policy(Protocol):
    """The decision maker. One instance serves many episodes, at the same time where the backend can."""

    @property
    def name(self) -> str:
        """The name that results and records show."""
        ...

    @property
    def pictures(self) -> PictureFormat:
        """Pictures, coordinates and tools as its model wants them; episodes that it decides are made with it."""
        ...

    def open(self) -> Conversation:
        """Begin a conversation for one episode."""
        ...


@runtime_checkable
class BatchPolicy(Policy, Protocol):
    """A policy that answers many conversations in one go."""

    def reply_batch(
        self,
        conversations: list[Conversation],
        new_messages: list[list[Message]],
        *,
        limits: list[ReplyLimits],
        cancel: CancelToken,
    ) -> list[Reply]:
        """One reply for each conversation, in order; like `Conversation.reply` otherwise."""
        ...
