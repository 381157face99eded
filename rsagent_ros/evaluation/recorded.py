"""A policy that says again what a trace says was said: the way to get a server's run a second time, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.agent.turn import Trace
from rsagent_ros.records.replay import recorded_verifications


class RecordedPolicy:
    """Repeats the replies of one trace; for one episode.

    A policy that failed fails again, with its code and message. An episode that wants more replies than there are, so
    one that does not go as it went, fails with POLICY_FAILED.
    """

    def __init__(self, trace: Trace) -> None:
        """Repeat this one."""
        self.name = trace.policy
        self.pictures = trace.pictures
        self.trace = trace
        self._conversations: Iterator[Conversation] = chain(
            [_RecordedConversation(trace)], recorded_verifications(trace)
        )

    def open(self) -> Conversation:
        """Begin from the first reply; after that, the next verification.

        Raises:
            RunFailed: It has none left.
        """
        conversation = next(self._conversations, None)
        if conversation is None:
            raise RunFailed(ErrorCode.POLICY_FAILED, "the trace has no verification that could be repeated")
        return conversation


class _RecordedConversation:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._next = 0

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """The next reply of the trace.

        Raises:
            RunFailed: There is none.
        """
        if self._next == len(self._trace.turns):
            if self._trace.error_code is not ErrorCode.NONE:
                raise RunFailed(self._trace.error_code, self._trace.error_msg)
            raise RunFailed(ErrorCode.POLICY_FAILED, f"the trace has {self._next} replies, and one more is asked for")
        turn = self._trace.turns[self._next]
        self._next += 1
        return turn.as_reply()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
