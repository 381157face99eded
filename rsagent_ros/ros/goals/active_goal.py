"""`ActiveGoal`: one goal from its admission to its end. Goals by action, by topic and the node's own are all alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rsagent_ros.agent.errors import describe
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.wakeup import Wakeup


class ActiveGoal:
    """A goal that ends exactly once. Thread-safe.

    Attributes:
        request: What is asked.
        parameters: The node's, as they were at admission.
        started, deadline: `time.monotonic()`.
        feedback: Called with each turn, and with what happens before the first; None for a goal by topic.
        on_begin: Called once when the goal begins to run, or has ended without that; None where nobody waits for it.
        wakeup: News for the thread that runs the goal.
        answer: How it ended; set before `closed`.
        closed: Set once the answer is there.
    """

    def __init__(
        self,
        request: GoalRequest,
        parameters: NodeParameters,
        feedback: Callable[[TurnMessage], None] | None = None,
        on_begin: Callable[[], None] | None = None,
    ) -> None:
        self.request = request
        self.parameters = parameters
        self.feedback = feedback
        self.on_begin = on_begin
        self.started = time.monotonic()
        self.deadline = self.started + (request.time_budget or parameters.time_budget)
        self.wakeup = Wakeup()
        self.answer: ResultMessage | None = None
        self.closed = threading.Event()
        self._ending: Result | None = None
        self._lock = threading.Lock()

    @property
    def ending(self) -> Result | None:
        """End that is asked for: canceled, pre-empted or shut down. None while it may go on."""
        return self._ending

    def stop(self, outcome: Outcome, message: str = "") -> None:
        """Make it end soon. Does not block; idempotent: the first reason counts."""
        with self._lock:
            if self._ending is None:
                self._ending = Result(outcome, error_msg=message)
        self.wakeup.stop()

    def begin(self) -> None:
        """Call `on_begin`, once."""
        with self._lock:
            on_begin, self.on_begin = self.on_begin, None
        if on_begin is not None:
            on_begin()

    def close(self, answer: ResultMessage) -> None:
        """Take over the answer.

        Raises:
            RuntimeError: It has one already.
        """
        with self._lock:
            if self.answer is not None:
                raise RuntimeError(f"goal {self.request.id!r} was about to end twice")
            self.answer = answer
        self.closed.set()
        self.begin()


def defect(error: Exception) -> Result:
    """The result of a goal that failed because of a fault in this package."""
    return Result(Outcome.FAILED, ErrorCode.INTERNAL, f"{describe(error)}; please report this")
