"""`GoalCall`: one action goal from request to result, watched for cancellation, silence and an agent that goes away."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action.client import ClientGoalHandle

from rsagent_ros.action import Segment
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.turn import Turn
from rsagent_ros.ros.client.action_client import RESEND_SECONDS, AgentUnavailable, SafeActionClient, finished
from rsagent_ros.ros.conversions import turn_of

CANCEL_SECONDS = 2.0
"""Time that a client that gives up waits for the agent to acknowledge its cancel request."""

ENDED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED)

WATCH_SECONDS = 0.25
"""Period of checks whether the agent is still there. A killed one is missed when its DDS lease is over."""

CANCEL_POLL = 0.05
"""Time within which a raised cancel token is noticed, seconds."""

LATE_TURNS_SECONDS = 0.5
"""Turns come on a topic of their own: the last ones may arrive after the result, and are waited for this long."""

POLL = 0.01
"""Seconds between checks for late turns."""


class GoalCall:
    """One goal. Used once, by one thread; feedback comes in another."""

    def __init__(
        self,
        actions: SafeActionClient,
        action: str,
        on_turn: Callable[[Turn], None] | None,
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            actions: The action client.
            action: Its name, for messages.
            on_turn: Called with each turn, in the thread that spins.
            on_progress: Called with what happens before the first turn, in the thread that spins.
        """
        self._actions = actions
        self._action = action
        self._on_turn = on_turn
        self._on_progress = on_progress
        self._news = threading.Event()
        self._failures: list[Exception] = []
        self._turns = 0

    def run(
        self, goal: Segment.Goal, accept_seconds: float, cancel: CancelToken | None, timeout: float | None
    ) -> Segment.Result:
        """Send the goal and wait for its result. An exception on the way cancels it, also Ctrl-C.

        Args:
            goal: The goal.
            accept_seconds: Time for the agent to accept it.
            cancel: Cancels it from another thread; the result is still waited for.
            timeout: Seconds for the result; None for no limit.

        Raises:
            AgentUnavailable: The agent did not accept the goal, or went away.
            TimeoutError: No result in time; the goal was cancelled.
        """
        until = math.inf if timeout is None else time.monotonic() + timeout
        handle = self._actions.send(goal, self._receive, accept_seconds)
        try:
            result = self._wait(handle, cancel, until, timeout)
        except AgentUnavailable:
            raise  # nobody is there to cancel it
        except BaseException:  # Ctrl-C included: the robot must not go on looking for what nobody waits for
            self._cancel(handle)
            raise
        self._wait_for_late_turns(result.turns, min(until, time.monotonic() + LATE_TURNS_SECONDS))
        if self._failures:
            raise self._failures[0]
        return result

    def _receive(self, message: Any) -> None:
        turn = message.feedback.turn
        try:
            if not turn.index and self._on_progress is not None:
                self._on_progress(turn.thought)
            if turn.index and self._on_turn is not None:
                self._on_turn(turn_of(turn))
        except Exception as error:  # belongs to the caller of `run`, not to the thread that spins
            self._failures.append(error)
        self._turns += bool(turn.index)
        self._news.set()

    def _wait(
        self, handle: ClientGoalHandle, cancel: CancelToken | None, until: float, timeout: float | None
    ) -> Segment.Result:
        """Wait for the result until `time.monotonic()` is `until`, which is `timeout` after the start."""
        actions, accepted_by = self._actions, self._actions.servers()
        period = WATCH_SECONDS if cancel is None else CANCEL_POLL
        future, ended_at, canceled = self._result_of(handle), math.inf, False
        while not future.done():
            self._news.wait(max(0.0, min(period, until - time.monotonic())))
            self._news.clear()
            now = time.monotonic()
            if cancel is not None and cancel.is_set and not canceled:
                canceled = True
                actions.cancel(handle)
            if self._failures:
                raise self._failures[0]
            if future.done():
                break
            if now >= until:
                raise TimeoutError(f"no answer from {self._action!r} within {timeout:g} s; the goal was cancelled")
            if not accepted_by & actions.servers():  # no message tells that a server has gone
                raise AgentUnavailable(f"{self._action!r} went away while it worked on the goal")
            if handle.status in ENDED and now - ended_at > RESEND_SECONDS:  # the response got lost
                future, ended_at = self._result_of(handle), math.inf
            elif handle.status in ENDED:
                ended_at = min(ended_at, now)
        return future.result().result

    def _result_of(self, handle: ClientGoalHandle) -> Any:
        future = self._actions.result_of(handle)
        future.add_done_callback(lambda _: self._news.set())
        return future

    def _cancel(self, handle: ClientGoalHandle) -> None:
        with contextlib.suppress(TimeoutError):  # then the agent is gone, and the goal with it
            finished(self._actions.cancel(handle), CANCEL_SECONDS)

    def _wait_for_late_turns(self, turns: int, until: float) -> None:
        while self._on_turn is not None and not self._failures and self._turns < turns and time.monotonic() < until:
            time.sleep(POLL)
