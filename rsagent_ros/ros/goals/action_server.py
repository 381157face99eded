"""The node's action `~/segment`: a goal handle for each run, and the one terminal state that its end gives it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from rsagent_ros.action import Segment
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.conversions import OUTCOMES, same
from rsagent_ros.ros.goals.active_goal import ActiveGoal, GoalRequest
from rsagent_ros.ros.parameters import NodeParameters

SUCCEEDED = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS, Outcome.GAVE_UP)
"""Outcomes that end an action goal as SUCCEEDED: whoever asked got an answer, and reads `outcome`."""


class SegmentServer:
    """Takes goals from the action. The execution of each waits for its end, in a thread of the executor."""

    def __init__(
        self,
        node: Node,
        parameters: Callable[[], NodeParameters],
        submit: Callable[[ActiveGoal], None],
        cancel: Callable[[ActiveGoal], None],
    ) -> None:
        """Create the action server.

        Args:
            node: Whose private action it is.
            parameters: A goal keeps those that this gives when it comes.
            submit: Takes a goal; returns at once.
            cancel: Ends one as CANCELED; returns at once.
        """
        self._parameters = parameters
        self._submit = submit
        self._cancel_run = cancel
        self._runs: dict[bytes, ActiveGoal] = {}
        self._server = ActionServer(
            node,
            Segment,
            "~/segment",
            self._finish,
            callback_group=MutuallyExclusiveCallbackGroup(),
            handle_accepted_callback=self._accepted,
            cancel_callback=self._cancel,
            result_timeout=parameters().result_timeout,
        )

    def close(self) -> None:
        """Destroy the action server."""
        self._server.destroy()

    def _accepted(self, handle: ServerGoalHandle) -> None:
        def feedback(turn: TurnMessage) -> None:
            handle.publish_feedback(Segment.Feedback(turn=turn))

        # A goal that waits stays ACCEPTED: EXECUTING costs a thread of the executor.
        begin = partial(_execute, handle)
        run = ActiveGoal(GoalRequest.of(handle.request, "action"), self._parameters(), feedback, on_begin=begin)
        self._runs[bytes(handle.goal_id.uuid)] = run
        self._submit(run)

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        run = self._runs.get(bytes(handle.goal_id.uuid))
        if run is not None:
            self._cancel_run(run)
        return CancelResponse.ACCEPT

    def _finish(self, handle: ServerGoalHandle) -> Segment.Result:
        """Wait for the goal's end, and give the action its one terminal state."""
        run = self._runs[bytes(handle.goal_id.uuid)]
        run.closed.wait()
        del self._runs[bytes(handle.goal_id.uuid)]
        answer = run.answer
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
