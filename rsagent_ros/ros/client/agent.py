"""`Agent`: the blocking client.

    from rsagent_ros.ros.client import Agent

    with Agent() as agent:
        answer = agent.segment("the red mug")
        if answer.outcome == "found":
            grasp(answer.mask)
        answer = agent.segment("the red mug", track=True)
        for now in agent.tracked(answer.goal_id, seconds=10.0):
            servo(now.mask, now.header)

In a process that already runs a node, `Agent(node=node)` uses that one; another thread has to spin it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from types import TracebackType

import numpy as np
from lifecycle_msgs.srv import GetState
from numpy.typing import NDArray
from rclpy.node import Node
from std_msgs.msg import Header, String

from rsagent_ros.action import Segment
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Turn
from rsagent_ros.msg import Verdict
from rsagent_ros.ros.camera.images import mask_image, rgb_image
from rsagent_ros.ros.client.action_client import RESEND_SECONDS, AgentUnavailable, SafeActionClient, finished
from rsagent_ros.ros.client.answer import Answer, answer_of
from rsagent_ros.ros.client.connection import Connection
from rsagent_ros.ros.client.goal_call import CANCEL_POLL, GoalCall
from rsagent_ros.ros.client.tracked import Tracked
from rsagent_ros.ros.conversions import OUTCOME_NUMBERS
from rsagent_ros.ros.stamps import stamp

__all__ = ["Agent", "AgentUnavailable", "Answer"]

POLL = 0.01
"""Seconds between questions for the agent's state."""


class Agent:
    """Client of one agent node. Its methods block; use one object in one thread."""

    def __init__(self, name: str = "agent", *, node: Node | None = None, wait: float = 10.0) -> None:
        """Prepare; `with` connects.

        Args:
            name: Of the agent's node, with its namespace: `agent`, `/left/agent`.
            node: Whose executor is spun in another thread; None: a node of its own, with its own context and thread.
            wait: Seconds that a goal or a message waits for the agent to be there.
        """
        self._name = name
        self._action = f"{name}/segment"
        self._given = node
        self._seconds = wait
        self._connection: Connection | None = None

    def __enter__(self) -> Agent:
        self._connection = Connection(self._name, self._given)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def wait_until_active(self, seconds: float, *, on_state: Callable[[str], None] | None = None) -> None:
        """Block until the agent takes goals: its models may take minutes to load.

        Args:
            seconds: Longest time to wait.
            on_state: Called with what it waits for, each time that changes: `not there`, or a lifecycle state.

        Raises:
            AgentUnavailable: It does not within that time; the message says in which state it is.
        """
        lifecycle = self._connected().lifecycle
        until = time.monotonic() + seconds
        state, reported = "not there", ""
        while state != "active":
            if time.monotonic() >= until:
                raise AgentUnavailable(f"the agent {self._name!r} is {state} after {seconds:g} s; see its log")
            future = lifecycle.call_async(GetState.Request())
            with contextlib.suppress(TimeoutError):  # it is not there yet, or does not know this client yet
                state = finished(future, min(RESEND_SECONDS, seconds)).current_state.label
            if state != "active":
                lifecycle.remove_pending_request(future)
                if on_state is not None and state != reported:
                    on_state(state)
                    reported = state
                time.sleep(POLL)

    def segment(
        self,
        instruction: str,
        *,
        image: NDArray[np.uint8] | None = None,
        camera: str = "",
        at: int = 0,
        time_budget: float = 0.0,
        max_turns: int = 0,
        goal_id: str = "",
        follows: str = "",
        track: bool = False,
        reground: bool = False,
        on_turn: Callable[[Turn], None] | None = None,
        on_progress: Callable[[str], None] | None = None,
        cancel: CancelToken | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Look for something, and wait for the answer. An exception on the way, Ctrl-C too, cancels the goal.

        Args:
            instruction: What to look for, in words.
            image: (H, W, 3) uint8 RGB to look at instead of a camera.
            camera: Name of the camera; empty for the default.
            at: Stamp of the frame to look at, nanoseconds; 0 for the newest.
            time_budget: Seconds from acceptance to result; 0 for the node's default.
            max_turns: Replies of the policy; 0 for the node's default.
            goal_id: Echoed everywhere; empty: the node makes one.
            follows: Id of a goal whose question, or whose reason for giving up, this instruction answers.
            track: Track what was found, for `tracked`; from then on the client receives masks until it is closed.
            reground: The same, and let the agent look again when an object is lost.
            on_turn: Called with each turn when it was taken, in another thread.
            on_progress: Called with what happens before the first turn, such as `waiting for image`, in another thread.
            cancel: Raised by another thread to cancel the goal; the answer, then CANCELED, is still waited for.
            timeout: Seconds to wait for the answer; None: no limit but the node's time budget.

        Raises:
            AgentUnavailable: There is no agent, or it went away.
            TimeoutError: No answer in time; the goal was cancelled.
        """
        goal = Segment.Goal(
            id=goal_id,
            previous_id=follows,
            instruction=instruction,
            camera=camera,
            stamp=stamp(at),
            time_budget=float(time_budget),
            max_turns=max_turns,
            track=track,
            reground=reground,
        )
        if image is not None:
            goal.image = rgb_image(image, Header())
        return self.send(goal, on_turn=on_turn, on_progress=on_progress, cancel=cancel, timeout=timeout)

    def send(
        self,
        goal: Segment.Goal,
        *,
        on_turn: Callable[[Turn], None] | None = None,
        on_progress: Callable[[str], None] | None = None,
        cancel: CancelToken | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send a goal with every field of the action in the caller's hands; else as `segment`."""
        connection = self._connected()
        self._wait_for_server(connection.actions, cancel)
        if cancel is not None and cancel.is_set:  # nothing was sent, so there is nothing to end
            canceled = OUTCOME_NUMBERS[Outcome.CANCELED]
            return answer_of(Segment.Result(outcome=canceled, goal_id=goal.id, instruction=goal.instruction))
        if goal.track or goal.reground:
            connection.tracked()  # subscribed before there is anything to miss
        call = GoalCall(connection.actions, self._action, on_turn, on_progress)
        return answer_of(call.run(goal, self._seconds, cancel, timeout))

    def judge(
        self,
        goal_id: str,
        accepted: bool,
        *,
        absent: bool = False,
        mask: Mask | None = None,
        note: str = "",
        source: int = Verdict.OPERATOR,
    ) -> None:
        """Tell the agent what was true about a goal: it is recorded with the goal, and training learns from it.

        Blocks until the agent has answered, which takes milliseconds. Without an exception, the agent has the verdict.

        Args:
            goal_id: `Answer.goal_id`.
            accepted: The result was right.
            absent: What was asked for was not in view at all.
            mask: (H, W) bool, the right mask, of the image's size.
            note: Such as what was meant.
            source: A constant of Verdict: OPERATOR, GRASP or PLANNER.

        Raises:
            ValueError: The agent refused it: it knows no such goal (any more), or the verdict does not fit the goal.
            AgentUnavailable: No agent listens, or it did not answer.
        """
        connection = self._connected()
        verdict = Verdict(goal_id=goal_id, source=source, accepted=accepted, absent=absent, note=note)
        verdict.stamp = connection.node.get_clock().now().to_msg()
        if mask is not None:
            verdict.corrected_mask = mask_image(mask, Header())
        connection.verdicts.send(verdict, self._seconds)

    def tracked(
        self, goal_id: str = "", seconds: float | None = None, *, cancel: CancelToken | None = None
    ) -> Generator[Tracked, None, None]:
        """Yield where the objects of a goal are, image by image, while the agent tracks them.

        Only the newest masks are kept: a slow caller misses those in between. A `lost` object may come back; the end is
        when all have `stopped`. Call it after the goal was sent.

        Args:
            goal_id: `Answer.goal_id`; empty: whatever is tracked.
            seconds: Time limit; None: until all have stopped.
            cancel: Ends it from another thread.

        Raises:
            AgentUnavailable: The agent went away.
        """
        connection = self._connected()
        yield from connection.tracked().follow(
            goal_id,
            seconds,
            alive=connection.actions.server_is_ready,
            stopped=lambda: cancel is not None and cancel.is_set,
        )

    def stop_tracking(self, goal_id: str = "") -> None:
        """Stop tracking what this goal has found; whatever is tracked, if empty.

        Blocks until the agent has the message, which takes milliseconds. When it has stopped, `tracked` says `stopped`.

        Raises:
            AgentUnavailable: No agent listens.
        """
        self._connected().stops.send(String(data=goal_id), self._seconds)

    def _connected(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the agent's client is not open; use `with Agent() as agent:`")
        return self._connection

    def _wait_for_server(self, actions: SafeActionClient, cancel: CancelToken | None) -> None:
        """Block until the agent is there, or `cancel` is raised.

        Raises:
            AgentUnavailable: It is not there in time.
        """
        until = time.monotonic() + self._seconds
        poll = self._seconds if cancel is None else CANCEL_POLL
        while not actions.wait_for_server(timeout_sec=max(0.0, min(poll, until - time.monotonic()))):
            if cancel is not None and cancel.is_set:
                return
            if time.monotonic() >= until:
                raise AgentUnavailable(
                    f"no action server {self._action!r} after {self._seconds:g} s: is the agent running, under that "
                    "name and with the same ROS_DOMAIN_ID?"
                )
