"""`SegmentServer`: the node's action `~/segment`. Each goal handle gets the one terminal state of its goal's end."""

from __future__ import annotations

import threading
import time
from functools import partial

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from rsagent_ros.action import Segment
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.conversions import OUTCOMES, same
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.goal_queue import GoalQueue
from rsagent_ros.ros.goals.goal_request import GoalRequest

SUCCEEDED = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS, Outcome.GAVE_UP)
"""Outcomes that end an action goal as SUCCEEDED: they are answers, and callers read `outcome`."""


class SegmentServer:
    """Takes goals from the action. The execution of each waits for its end, in a thread of the executor."""

    def __init__(self, node: Node, queue: GoalQueue, result_timeout: int) -> None:
        """Create the action server.

        Args:
            node: Its private action is meant.
            queue: Takes the goals.
            result_timeout: Seconds that a result is kept for a client that asks late.
        """
        self._queue = queue
        self._goals: dict[bytes, ActiveGoal] = {}
        self._submitting = threading.Lock()
        self._server = ActionServer(
            node,
            Segment,
            "~/segment",
            self._finish,
            callback_group=MutuallyExclusiveCallbackGroup(),
            handle_accepted_callback=self._accepted,
            cancel_callback=self._cancel,
            result_timeout=result_timeout,
        )

    def close(self) -> None:
        """Destroy the action server."""
        self._server.destroy()

    def _accepted(self, handle: ServerGoalHandle) -> None:
        def feedback(turn: TurnMessage) -> None:
            handle.publish_feedback(Segment.Feedback(turn=turn))

        uuid = bytes(handle.goal_id.uuid)
        request = GoalRequest.of(handle.request, "action", uuid)
        with self._submitting:  # its execution may begin before `submit` has returned
            # A goal that waits stays ACCEPTED: EXECUTING costs a thread of the executor.
            self._goals[uuid] = self._queue.submit(request, feedback, on_begin=partial(_execute, handle))

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is not None:
            self._queue.cancel(goal)
        return CancelResponse.ACCEPT

    def _finish(self, handle: ServerGoalHandle) -> Segment.Result:
        """Wait for the goal's end, and give the action its one terminal state."""
        with self._submitting:
            goal = self._goals[bytes(handle.goal_id.uuid)]
        goal.closed.wait()
        del self._goals[bytes(handle.goal_id.uuid)]
        answer = goal.answer
        if answer is None:
            raise RuntimeError("a goal was closed without an answer")
        outcome = OUTCOMES[answer.outcome]
        if outcome in SUCCEEDED:
            handle.succeed()
        elif outcome is Outcome.CANCELED and _became_canceling(handle):
            handle.canceled()
        else:
            handle.abort()
        return same(answer, Segment.Result)


def _execute(handle: ServerGoalHandle) -> None:
    """Make the goal EXECUTING, unless it is CANCELING already, and let its execution begin."""
    try:
        handle.execute()
    except RuntimeError:  # rclpy's RCLError: a cancel came between its look at the state and the change of it
        handle.execute()


def _became_canceling(handle: ServerGoalHandle) -> bool:
    """Whether rclpy has noted the cancel request: it does so after our callback, and the goal may end in between."""
    until = time.monotonic() + 1.0
    while not handle.is_cancel_requested and time.monotonic() < until:
        time.sleep(0.001)
    return handle.is_cancel_requested
