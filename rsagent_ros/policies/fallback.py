"""The fallback: a second policy goes on when the first is lost, says so, and hands back to the first.

A goal that has begun keeps its fallback to the end: a policy that comes back in the middle would read a chat that
another one has led. New goals go to the first again as soon as its check passes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.policy import Conversation, Policy, Reply, ReplyLimits

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FallbackStatus:
    """The state of both policies, for diagnostics.

    Attributes:
        lost: The first policy is lost; new goals go to the fallback.
        reason: Why, as the last attempt said; empty when it is not lost.
        degraded_replies: How many the fallback has given in all.
    """

    lost: bool
    reason: str
    degraded_replies: int


class FallbackPolicy:
    """A policy that is lost with MODEL_UNAVAILABLE is replaced by another. Thread-safe where both are.

    Attributes:
        name: Of both, as in `chat_server:qwen or reference`.
        pictures: Those of the first; the chat is drawn for it.
    """

    def __init__(
        self, primary: Policy, fallback: Policy, check: Callable[[], object], recheck_seconds: float = 5.0
    ) -> None:
        """Begin with the first policy.

        Args:
            primary: The first policy.
            fallback: The second, while the first is lost. It takes over in the middle of a chat: its conversations must
                do with many messages at once, and with replies among them that they did not give.
            check: Raises an error as long as the first policy is not well; may block, is called in a thread of its own.
            recheck_seconds: Between two checks of a lost policy.

        Raises:
            ValueError: The two do not read the same pictures and coordinates.
        """
        ours, theirs = primary.pictures, fallback.pictures
        same = (ours.coordinates, ours.overlay) == (theirs.coordinates, theirs.overlay)
        if not same or ours.multiple % theirs.multiple:
            wants = f"it wants {theirs}, and the chat is drawn as {ours}"
            raise ValueError(f"{fallback.name} can't take over from {primary.name}: {wants}")
        self.name = f"{primary.name} or {fallback.name}"
        self.pictures = ours
        self._primary = primary
        self._fallback = fallback
        self._check = check
        self._recheck_seconds = recheck_seconds
        self._lock = threading.Lock()
        self._reason = ""
        self._degraded_replies = 0
        self._closed = threading.Event()

    @property
    def status(self) -> FallbackStatus:
        """The state now."""
        with self._lock:
            return FallbackStatus(bool(self._reason), self._reason, self._degraded_replies)

    def open(self) -> Conversation:
        """Begin a conversation: with the first policy, or with the fallback while that is lost."""
        return _FallbackConversation(self)

    def close(self) -> None:
        """End the checks. The two policies are the caller's to close."""
        self._closed.set()

    def _open_primary(self) -> Conversation | None:
        """A conversation with the first policy; None while it is lost."""
        if self.status.lost:
            return None
        try:
            return self._primary.open()
        except RunFailed as error:
            self._lose(error)
            return None

    def _open_fallback(self) -> Conversation:
        """A conversation with the fallback."""
        return self._fallback.open()

    def _lose(self, error: RunFailed) -> None:
        """Take note that the first policy failed, and look after it from now on.

        Raises:
            RunFailed: The error itself, where it does not mean that the policy is lost.
        """
        if error.code is not ErrorCode.MODEL_UNAVAILABLE:
            raise error
        with self._lock:
            known, self._reason = self._reason, error.message
        if not known:
            log.warning("going on with %s: %s", self._fallback.name, error.message)
            threading.Thread(target=self._watch, name="fallback", daemon=True).start()

    def _count(self) -> None:
        """Count a reply of the fallback."""
        with self._lock:
            self._degraded_replies += 1

    def _watch(self) -> None:
        """Check the lost policy until it is well."""
        while not self._closed.wait(self._recheck_seconds):
            try:
                self._check()
            except Exception as error:  # whatever it is, the policy is not well yet
                with self._lock:
                    self._reason = error.message if isinstance(error, RunFailed) else describe(error)
            else:
                with self._lock:
                    self._reason = ""
                log.warning("%s is back", self._primary.name)
                return


class _FallbackConversation:
    """One episode's talk, with a memory of all of it for the one who may have to take over."""

    def __init__(self, policy: FallbackPolicy) -> None:
        self._policy = policy
        self._primary = policy._open_primary()
        self._fallback: Conversation | None = None
        self._messages: list[Message] = []

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """Answer; from the fallback, marked as degraded, once the first policy is lost.

        Raises:
            RunFailed: As the policy that answers; MODEL_UNAVAILABLE only where the fallback has it too.
        """
        if self._fallback is not None:
            return self._degraded(self._fallback, new_messages, limits, cancel)
        self._messages += new_messages
        if self._primary is not None:
            try:
                reply = self._primary.reply(new_messages, limits=limits, cancel=cancel)
            except RunFailed as error:
                self._policy._lose(error)
                self._primary.close()
            else:
                self._messages.append(Message("assistant", (Text(reply.text),)))
                return reply
        self._fallback = self._policy._open_fallback()
        messages, self._messages = self._messages, []
        return self._degraded(self._fallback, messages, limits, cancel)

    def close(self) -> None:
        """Close both conversations."""
        for conversation in (self._primary, self._fallback):
            if conversation is not None:
                conversation.close()

    def _degraded(
        self, conversation: Conversation, messages: list[Message], limits: ReplyLimits, cancel: CancelToken
    ) -> Reply:
        reply = conversation.reply(messages, limits=limits, cancel=cancel)
        self._policy._count()
        return replace(reply, degraded=True)
