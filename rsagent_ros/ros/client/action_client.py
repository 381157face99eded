"""Action client of `~/segment`: rclpy's, without the races that lose goals and answers."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

from rsagent_ros.action import Segment

RESEND_SECONDS = 1.0
"""Time without an answer after which a request counts as lost."""

LATE_GOALS = 16
"""Goals that have ended, whose late feedback is still passed on."""


class AgentUnavailable(ConnectionError):
    """No agent of that name, or it did not accept the goal or message."""


class SafeActionClient(ActionClient):
    """Action client that is safe to use beside a thread that spins, and just after the start of either side.

    Two races are closed. rclpy notes a request only after it was sent, and throws away an answer that is taken in
    between: here nothing is taken in between. And a server that has not discovered the whole client yet drops its
    answer: here the request is sent again, with the same id, so that the goal is never taken twice.
    """

    def __init__(self, node: Node, action: str) -> None:
        self._order = threading.Lock()
        self._ended: deque[bytes] = deque()
        super().__init__(node, Segment, action)

    def take_data(self) -> Any:
        """Take waiting data; called by the executor."""
        with self._order:
            return super().take_data()

    def send(self, goal: Segment.Goal, feedback: Callable[[Any], None], seconds: float) -> ClientGoalHandle:
        """Send a goal; blocks until the server has accepted it.

        Raises:
            AgentUnavailable: It has not within that time.
        """
        until = time.monotonic() + seconds
        goal_uuid = UUID(uuid=list(uuid.uuid4().bytes))
        sent_before = False
        while time.monotonic() < until:
            with self._order:
                future = self.send_goal_async(goal, feedback_callback=feedback, goal_uuid=goal_uuid)
            with contextlib.suppress(TimeoutError):
                handle: ClientGoalHandle = finished(future, min(RESEND_SECONDS, seconds))
                if handle.accepted or sent_before:  # an id that is known already is not accepted again
                    return handle
                raise AgentUnavailable("the agent did not accept the goal")
            sent_before = True
        raise AgentUnavailable(f"the agent did not answer within {seconds:g} s")

    def result_of(self, handle: ClientGoalHandle) -> Future:
        """Request the result of a goal."""
        with self._order:
            return handle.get_result_async()

    def _remove_pending_result_request(self, future: Future) -> None:
        """Take note of a result; feedback that is still on its way is passed on all the same, where rclpy drops it."""
        before = dict(self._feedback_callbacks)
        super()._remove_pending_result_request(future)
        for ended in before.keys() - self._feedback_callbacks.keys():
            self._feedback_callbacks[ended] = before[ended]
            self._ended.append(ended)
        while len(self._ended) > LATE_GOALS:
            self._feedback_callbacks.pop(self._ended.popleft(), None)

    def servers(self) -> frozenset[tuple[int, ...]]:
        """DDS ids of the servers of the action: an agent that was started again is another one."""
        publishers = self._node.get_publishers_info_by_topic(f"{self._action_name}/_action/status")
        return frozenset(tuple(publisher.endpoint_gid) for publisher in publishers)

    def cancel(self, handle: ClientGoalHandle) -> Future:
        """Request that a goal is canceled; the response says whether it will be."""
        with self._order:
            return handle.cancel_goal_async()


def finished(future: Future, seconds: float) -> Any:
    """Wait for a future while another thread spins; returns its result.

    Raises:
        TimeoutError: Nothing within that time.
    """
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(seconds):
        raise TimeoutError(f"no answer within {seconds:g} s")
    return future.result()
