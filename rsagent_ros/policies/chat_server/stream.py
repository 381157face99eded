"""A streamed reply: its chunks, read as OpenAI's protocol and vLLM write them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec

from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN
from rsagent_ros.agent.errors import RunFailed, plain
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.parsing import MAX_REPLY_CHARS
from rsagent_ros.agent.policy import Reply, Stop
from rsagent_ros.agent.slips import without_beginning_of

_MAX_AFTER_CALL = 64
"""Characters behind the call that are waited for: a model ends there by itself, and only then the counts come."""


ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "end", "completed"})
"""Words of servers for a reply that ended by itself."""
CUT = frozenset({"length", "max_tokens", "model_length"})
"""Words for one that was cut at its limit."""

T = TypeVar("T")

# What the answer needs is checked. All else is side information: where it is not as it should be, it is not there.


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning: Any = None
    reasoning_content: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: Any = None
    logprobs: Any = None
    token_ids: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    prompt_token_ids: Any = None


class _Logprob(msgspec.Struct):
    logprob: float


class _Logprobs(msgspec.Struct):
    content: list[_Logprob] | None = None


_Count = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]


def _as(kind: type[T], value: object) -> T | None:
    """Side information, as far as it is of that kind."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError):
        return None


def _count(of: object, name: str) -> int:
    return _as(_Count, of.get(name)) or 0 if isinstance(of, dict) else 0


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
        """Take in the JSON of one event. Behind a whole call nothing that comes can spoil it.

        Raises:
            msgspec.ValidationError: It is not a chunk of a chat completion.
            RunFailed: The server takes thoughts or calls out of the reply.
        """
        try:
            chunk = msgspec.convert(data, _Chunk)
        except msgspec.ValidationError:
            if self.called:
                return
            raise
        if (prompt := _as(list[int], chunk.prompt_token_ids)) is not None:
            self._prompt_tokens = len(prompt)
        if isinstance(chunk.usage, dict):
            self._prompt_tokens = _count(chunk.usage, "prompt_tokens") or self._prompt_tokens
            self._sampled_tokens = _count(chunk.usage, "completion_tokens")
            self._cached_tokens = _count(chunk.usage.get("prompt_tokens_details"), "cached_tokens")
        for choice in (chunk.choices or ())[:1]:
            self._take(choice)

    def _take(self, choice: _Choice) -> None:
        delta = choice.delta or _Delta()
        taken_apart = delta.reasoning or delta.reasoning_content or choice.finish_reason == "tool_calls"
        if taken_apart and not self.called:
            raise RunFailed(
                ErrorCode.POLICY_FAILED,
                "the model server takes thoughts or tool calls out of the reply; start it without a reasoning "
                "parser and without a tool call parser",
            )
        self.text += delta.content or ""
        self._token_ids += _as(list[int], choice.token_ids) or []
        logprobs = _as(_Logprobs, choice.logprobs)
        if logprobs is not None:
            self._logprobs += [token.logprob for token in logprobs.content or []]
        if isinstance(choice.finish_reason, str):
            self.finish = choice.finish_reason.lower() or self.finish

    @property
    def called(self) -> bool:
        """Whether a whole call has come."""
        return CALL_CLOSE in self.text

    @property
    def whole(self) -> bool:
        """Whether a whole call has come, though its closing tag may be missing."""
        _, opening, call = self.text.partition(CALL_OPEN)
        return self.called or (bool(opening) and _is_object(without_beginning_of(CALL_CLOSE, call)))

    @property
    def enough(self) -> bool:
        """Whether nothing that may still come is of use: the model goes on behind its call, or on and on."""
        _, _, after = self.text.partition(CALL_CLOSE)
        return len(after) > _MAX_AFTER_CALL or len(self.text) > MAX_REPLY_CHARS

    def reply(self, stop: Stop, seconds: float) -> Reply:
        """The reply as the agent takes it: nothing behind the call; numbers only where every token has one."""
        before, close, _ = self.text.partition(CALL_CLOSE)
        if not close and stop == "call" and self.whole and not (self._token_ids and self.finish):
            # Cut out as a stop string (vLLM, which alone gives token ids, leaves it in), or lost as the stream broke.
            before, close = without_beginning_of(CALL_CLOSE, before).rstrip(), CALL_CLOSE
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


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
