"""A streamed reply: its chunks, read as OpenAI's protocol and vLLM write them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from rsagent_ros.agent.actions import CALL_CLOSE
from rsagent_ros.agent.errors import RunFailed, plain
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.parsing import MAX_REPLY_CHARS
from rsagent_ros.agent.policy import Reply, Stop

_MAX_AFTER_CALL = 64
"""Characters behind the call that are waited for: a model ends there by itself, and only then the counts come."""


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Logprob(msgspec.Struct):
    logprob: float


class _Logprobs(msgspec.Struct):
    content: list[_Logprob] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    token_ids: list[int] | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None
    prompt_token_ids: list[int] | None = None


@dataclass
class StreamedReply:
    """A reply that is growing.

    Attributes:
        text: All of it so far.
        finish: The server's reason for its end; empty while it goes on.
    """

    text: str = ""
    finish: str = ""
    _token_ids: list[int] = field(default_factory=list)
    _logprobs: list[float] = field(default_factory=list)
    _prompt_tokens: int = 0
    _cached_tokens: int = 0
    _sampled_tokens: int = 0

    def add(self, data: object) -> None:
        """Take in the JSON of one event.

        Raises:
            msgspec.ValidationError: It is not a chunk of a chat completion.
            RunFailed: The server takes thoughts or calls out of the reply.
        """
        chunk = msgspec.convert(data, _Chunk)
        if chunk.prompt_token_ids is not None:
            self._prompt_tokens = len(chunk.prompt_token_ids)
        if chunk.usage is not None:
            self._prompt_tokens = max(0, chunk.usage.prompt_tokens)
            self._sampled_tokens = max(0, chunk.usage.completion_tokens or 0)
            details = chunk.usage.prompt_tokens_details
            self._cached_tokens = max(0, details.cached_tokens or 0) if details is not None else 0
        for choice in chunk.choices[:1]:
            if choice.delta.reasoning or choice.delta.reasoning_content or choice.finish_reason == "tool_calls":
                raise RunFailed(
                    ErrorCode.POLICY_FAILED,
                    "the model server takes thoughts or tool calls out of the reply; start it without a reasoning "
                    "parser and without a tool call parser",
                )
            self.text += choice.delta.content or ""
            self._token_ids += choice.token_ids or []
            if choice.logprobs is not None:
                self._logprobs += [token.logprob for token in choice.logprobs.content or []]
            self.finish = choice.finish_reason or self.finish

    @property
    def called(self) -> bool:
        """Whether a whole call has come."""
        return CALL_CLOSE in self.text

    @property
    def enough(self) -> bool:
        """Whether nothing that may still come is of use: the model goes on behind its call, or on and on."""
        _, _, after = self.text.partition(CALL_CLOSE)
        return len(after) > _MAX_AFTER_CALL or len(self.text) > MAX_REPLY_CHARS

    def reply(self, stop: Stop, seconds: float) -> Reply:
        """The reply as the agent takes it: nothing behind the call; numbers only where every token has one."""
        before, close, _ = self.text.partition(CALL_CLOSE)
        sampled = self._sampled_tokens or len(self._token_ids)
        ids = tuple(self._token_ids) if self._token_ids and len(self._token_ids) == sampled else None
        whole = self._logprobs and len(self._logprobs) == sampled and all(map(math.isfinite, self._logprobs))
        return Reply(
            plain(before + close),
            stop,
            token_ids=ids,
            logprobs=tuple(self._logprobs) if whole else None,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=min(self._cached_tokens, self._prompt_tokens),
            sampled_tokens=sampled,
            seconds=seconds,
        )
