"""One goal that a row of the matrix has sent: when it is due, and everything that was told about its end."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from action_msgs.msg import GoalStatus
from ros_support import PATIENCE, SentGoal

from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.ros.conversions import OUTCOMES

STATUS = {
    Outcome.FOUND: GoalStatus.STATUS_SUCCEEDED,
    Outcome.NOT_IN_VIEW: GoalStatus.STATUS_SUCCEEDED,
    Outcome.AMBIGUOUS: GoalStatus.STATUS_SUCCEEDED,
    Outcome.GAVE_UP: GoalStatus.STATUS_SUCCEEDED,
    Outcome.CANCELED: GoalStatus.STATUS_CANCELED,
    Outcome.PREEMPTED: GoalStatus.STATUS_ABORTED,
    Outcome.SHUTDOWN: GoalStatus.STATUS_ABORTED,
    Outcome.FAILED: GoalStatus.STATUS_ABORTED,
}
"""The action's state that goes with each outcome."""


class Goal:
    """A goal by action or by topic. Times are `time.monotonic()`.

    Attributes:
        id: As sent.
        by_topic: How it was.
        due: When it has to have ended: its budget is spent, or, if that is earlier, it was told to end.
        ended: When its sender knew of its end; infinite before that.
        status: Of the action; None for a goal by topic.
        result: Of the action, or the message on `~/result` of a goal by topic.
        results: All messages on `~/result` that name it.
        missed: What the sender was told where the agent died; empty else.
        sent: The action; None before it was accepted, and by topic.
    """

    def __init__(self, goal_id: str, budget: float, *, by_topic: bool) -> None:
        self.id = goal_id
        self.by_topic = by_topic
        self.due = time.monotonic() + budget
        self.ended = math.inf
        self.status: int | None = None
        self.result: Any = None
        self.results: list[Any] = []
        self.missed = ""
        self.sent: SentGoal | None = None
        self._over = threading.Event()

    @property
    def ending(self) -> str:
        """In the words of the matrix."""
        if self.missed:
            return self.missed
        code = "" if self.result.error_code == ErrorCode.NONE else f" {ErrorCode(self.result.error_code).name}"
        return f"{OUTCOMES[self.result.outcome].name}{code}"

    def follow(self, sent: SentGoal) -> None:
        """Take the end from the action that was sent."""
        self.sent = sent
        future = sent.client.result_of(sent.handle)
        future.add_done_callback(lambda done: self.end(done.result().result, done.result().status))

    def end(self, result: Any, status: int | None = None) -> None:
        """It has ended."""
        self.ended, self.result, self.status = time.monotonic(), result, status
        self._over.set()

    def miss(self, what: str) -> None:
        """The sender has noticed that no answer will come."""
        self.missed, self.ended = what, time.monotonic()
        self._over.set()

    def due_now(self) -> Goal:
        """It was just told to end."""
        self.due = min(self.due, time.monotonic())
        return self

    def cancel(self) -> Any:
        """Ask for its end; returns the response."""
        assert self.sent is not None
        self.due_now()
        return self.sent.cancel()

    def thinking(self) -> Goal:
        """Wait until it has taken a turn."""
        assert self.sent is not None
        self.sent.feedback.wait(1)
        return self

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._over.is_set()

    def wait(self) -> Goal:
        """Until it has ended."""
        assert self._over.wait(PATIENCE), f"goal {self.id!r} did not end"
        return self

    def complaints(self) -> list[str]:
        """What is wrong with its end, whatever it should have been."""
        if self.missed:
            return []
        found = []
        if len(self.results) != 1:
            found.append(f"{self.id}: {len(self.results)} messages on ~/result")
        if any((one.outcome, one.error_code) != (self.result.outcome, self.result.error_code) for one in self.results):
            found.append(f"{self.id}: ~/result does not say what the action says")
        if self.status is not None and self.status != STATUS[OUTCOMES[self.result.outcome]]:
            found.append(f"{self.id}: {self.ending} with the action state {self.status}")
        return found
