"""For whoever plans: send a goal in words, wait, get masks.

    from rsagent_ros.ros.client import Agent

    with Agent() as agent:
        answer = agent.segment("the red mug")
        if answer.outcome == "found":
            grasp(answer.mask)

Inside a process that runs a node already, `Agent(node=node)` uses that one, which somebody else has to spin.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from action_msgs.msg import GoalStatus
from lifecycle_msgs.srv import GetState
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.task import Future
from std_msgs.msg import Header
from unique_identifier_msgs.msg import UUID

from rsagent_ros.action import Segment
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import ErrorCode, Instance, Outcome
from rsagent_ros.agent.turn import Turn
from rsagent_ros.msg import Verdict
from rsagent_ros.ros.conversions import OUTCOMES, stamp, turn_of
from rsagent_ros.ros.images import mask_image, rgb_image, to_mask

CANCEL_SECONDS = 2.0
"""How long a client that gives up waits for its cancel request to be acknowledged."""

POLL_SECONDS = 0.01

RESEND_SECONDS = 1.0
"""After that long without an answer, a request is taken for lost."""

ENDED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED)


CANCEL_POLL = 0.05
"""Seconds within which a raised cancel token is noticed."""

LATE_TURNS_SECONDS = 0.5
"""Turns come on a topic of their own: the last ones may arrive after the result, and are waited for so long."""


class AgentUnavailable(ConnectionError):
    """There is no agent of that name, or it did not take the goal."""


class SafeActionClient(ActionClient):
    """rclpy's action client, safe to use beside a thread that spins, and just after the start of either side.

    Two races are closed. rclpy notes a request only after it was sent, and throws away an answer that is taken in
    between: here nothing is taken in between. And a server that has not discovered the whole client yet drops its
    answer: here the request is sent again, with the same id, so that the goal is never taken twice.
    """

    def __init__(self, node: Node, action: str) -> None:
        self._order = threading.Lock()
        super().__init__(node, Segment, action)

    def take_data(self) -> Any:
        """Called by the executor."""
        with self._order:
            return super().take_data()

    def send(self, goal: Segment.Goal, feedback: Callable[[Any], None], seconds: float) -> ClientGoalHandle:
        """Send a goal; blocks until the server has taken it.

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
                raise AgentUnavailable("the agent did not take the goal")
            sent_before = True
        raise AgentUnavailable(f"the agent did not answer within {seconds:g} s")

    def result_of(self, handle: ClientGoalHandle) -> Future:
        """The response that will bring the result of a goal."""
        with self._order:
            return handle.get_result_async()

    def cancel(self, handle: ClientGoalHandle) -> Future:
        """Ask for the end of a goal; the response says whether it will be."""
        with self._order:
            return handle.cancel_goal_async()


@dataclass(frozen=True)
class Answer:
    """How a goal ended.

    Attributes:
        outcome: Compares with words: `answer.outcome == "found"`.
        error_code: `NONE` unless something is worth a code.
        error_msg: One sentence; empty when there is no error.
        instances: What was found.
        candidates: AMBIGUOUS: the things that fit.
        question: AMBIGUOUS: what to ask the user.
        reason: NOT_IN_VIEW: what the policy says.
        partial: The instances are the best so far, not what the policy ended with.
        goal_id: As sent, or as the node made it.
        header: Of the source image: stamp, and camera optical frame.
        seconds: From acceptance to result.
        message: Everything else: the action's result as it came.
    """

    outcome: Outcome
    error_code: ErrorCode
    error_msg: str
    instances: tuple[Instance, ...]
    candidates: tuple[Instance, ...]
    question: str
    reason: str
    partial: bool
    goal_id: str
    header: Header
    seconds: float
    message: Segment.Result = field(repr=False)

    @property
    def mask(self) -> Mask | None:
        """All instances together as (H, W) bool; None when nothing was found."""
        if not self.instances:
            return None
        return np.asarray(np.logical_or.reduce([instance.mask for instance in self.instances]), dtype=np.bool_)

    @property
    def confidence(self) -> float:
        """Of the least sure instance, 0..1; 0 when there is none."""
        return min((instance.confidence for instance in self.instances), default=0.0)


class Agent:
    """A client of one agent node. Its methods block; use one object in one thread."""

    def __init__(self, name: str = "agent", *, node: Node | None = None, wait: float = 10.0) -> None:
        """Nothing is connected yet.

        Args:
            name: Of the agent's node, with its namespace: `agent`, `/left/agent`.
            node: Whose executor is spun in another thread; None: a node of its own, with its own context and thread.
            wait: Seconds that a goal waits for the agent to be there.
        """
        self._name = name
        self._action = f"{name}/segment"
        self._given = node
        self._seconds = wait
        self._client: SafeActionClient | None = None
        self._state: Client | None = None
        self._verdicts: Publisher | None = None
        self._clock = Clock()
        self._resources = ExitStack()

    def __enter__(self) -> Agent:
        with ExitStack() as stack:
            node = self._own_node(stack) if self._given is None else self._given
            self._client = SafeActionClient(node, self._action)
            stack.callback(self._client.destroy)
            self._state = node.create_client(GetState, f"{self._name}/get_state")
            stack.callback(node.destroy_client, self._state)
            self._clock = node.get_clock()
            # Without event handlers: those can't be destroyed while another thread waits for them.
            self._verdicts = node.create_publisher(
                Verdict,
                f"{self._name}/verdict",
                10,
                event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
            )
            stack.callback(node.destroy_publisher, self._verdicts)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._client = self._state = self._verdicts = None
        self._resources.close()

    def wait_until_active(self, seconds: float) -> None:
        """Block until the agent takes goals: its models may take minutes to load.

        Raises:
            AgentUnavailable: It does not within that time; the message says in which state it is.
        """
        if self._state is None:
            raise RuntimeError("the agent's client is not open; use `with Agent() as agent:`")
        until = time.monotonic() + seconds
        state = "not there"
        while state != "active":
            if time.monotonic() >= until:
                raise AgentUnavailable(f"the agent {self._name!r} is {state} after {seconds:g} s; see its log")
            future = self._state.call_async(GetState.Request())
            with contextlib.suppress(TimeoutError):  # it is not there yet, or does not know this client yet
                state = finished(future, min(RESEND_SECONDS, seconds)).current_state.label
            if state != "active":
                self._state.remove_pending_request(future)
                time.sleep(POLL_SECONDS)

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
        on_turn: Callable[[Turn], None] | None = None,
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
            on_turn: Called with each turn as it was taken, in another thread.
            cancel: Raised by another thread to cancel the goal; the answer, then CANCELED, is still waited for.
            timeout: Seconds to wait for the answer; None: as long as it takes, which the node's budget bounds.

        Raises:
            AgentUnavailable: There is no agent, or it went away.
            TimeoutError: No answer in time; the goal was cancelled.
        """
        goal = Segment.Goal(
            id=goal_id,
            instruction=instruction,
            camera=camera,
            stamp=stamp(at),
            time_budget=float(time_budget),
            max_turns=max_turns,
        )
        if image is not None:
            goal.image = rgb_image(image, Header())
        return self.send(goal, on_turn=on_turn, cancel=cancel, timeout=timeout)

    def send(
        self,
        goal: Segment.Goal,
        *,
        on_turn: Callable[[Turn], None] | None = None,
        cancel: CancelToken | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Like `segment`, with every field of the action in the caller's hands."""
        client = self._client
        if client is None:
            raise RuntimeError("the agent's client is not open; use `with Agent() as agent:`")
        if not client.wait_for_server(timeout_sec=self._seconds):
            raise AgentUnavailable(
                f"no action server {self._action!r} after {self._seconds:g} s: is the agent running, under that name "
                "and with the same ROS_DOMAIN_ID?"
            )
        news = threading.Event()
        failures: list[Exception] = []
        heard = 0

        def turn(message: Any) -> None:
            nonlocal heard
            try:
                if on_turn is not None:
                    on_turn(turn_of(message.feedback.turn))
            except Exception as error:  # belongs to the caller of `send`, not to the thread that spins
                failures.append(error)
            heard += 1
            news.set()

        until = math.inf if timeout is None else time.monotonic() + timeout
        handle = client.send(goal, turn, self._seconds)
        try:
            ended_at = math.inf
            future = client.result_of(handle)
            future.add_done_callback(lambda _: news.set())
            asked = False
            while not future.done():
                news.wait(max(0.0, min(1.0 if cancel is None else CANCEL_POLL, until - time.monotonic())))
                news.clear()
                now = time.monotonic()
                if cancel is not None and cancel.is_set and not asked:
                    asked = True
                    client.cancel(handle)
                if failures:
                    raise failures[0]
                if future.done():
                    break
                if now >= until:
                    raise TimeoutError(f"no answer from {self._action!r} within {timeout:g} s; the goal was cancelled")
                if not client.server_is_ready():  # no message tells that a server has gone
                    raise AgentUnavailable(f"{self._action!r} went away while it worked on the goal")
                if handle.status in ENDED and now - ended_at > RESEND_SECONDS:  # the response got lost
                    future, ended_at = client.result_of(handle), math.inf
                    future.add_done_callback(lambda _: news.set())
                elif handle.status in ENDED:
                    ended_at = min(ended_at, now)
        except BaseException:  # Ctrl-C included: the robot must not go on looking for what nobody waits for
            with contextlib.suppress(TimeoutError):  # then the agent is gone, and the goal with it
                finished(client.cancel(handle), CANCEL_SECONDS)
            raise
        result = future.result().result
        late = min(until, time.monotonic() + LATE_TURNS_SECONDS)
        while on_turn is not None and not failures and heard < result.turns and time.monotonic() < late:
            time.sleep(POLL_SECONDS)
        if failures:
            raise failures[0]
        return _answer(result)

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
        """Say what turned out to be true about a goal; the node records it with the goal, and training learns from it.

        Args:
            goal_id: `Answer.goal_id`.
            accepted: The result was right.
            absent: What was asked for was not in view at all.
            mask: (H, W) bool, what would have been right, of the image's size.
            note: Such as what was meant.
            source: A constant of Verdict: OPERATOR, GRASP or PLANNER.

        Raises:
            AgentUnavailable: No agent listens.
        """
        if self._verdicts is None:
            raise RuntimeError("the agent's client is not open; use `with Agent() as agent:`")
        until = time.monotonic() + self._seconds
        while not self._verdicts.get_subscription_count():
            if time.monotonic() >= until:
                raise AgentUnavailable(f"nobody listens on {self._name}/verdict after {self._seconds:g} s")
            time.sleep(POLL_SECONDS)
        verdict = Verdict(goal_id=goal_id, source=source, accepted=accepted, absent=absent, note=note)
        verdict.stamp = self._clock.now().to_msg()
        if mask is not None:
            verdict.corrected_mask = mask_image(mask, Header())
        self._verdicts.publish(verdict)
        if not self._verdicts.wait_for_all_acked(Duration(seconds=max(0.0, until - time.monotonic()))):
            raise AgentUnavailable(f"nobody took the verdict on {self._name}/verdict within {self._seconds:g} s")

    @staticmethod
    def _own_node(stack: ExitStack) -> Node:
        """A node with a context and a thread of its own; nothing else in the process is touched."""
        context = Context()
        rclpy.init(context=context)
        stack.callback(context.try_shutdown)
        node = Node(f"agent_client_{time.time_ns() % 1_000_000_000}", context=context, enable_rosout=False)
        stack.callback(node.destroy_node)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        over = threading.Event()

        def spin() -> None:
            try:
                while not over.is_set():
                    executor.spin_once()
            except ExternalShutdownException:
                return

        thread = threading.Thread(target=spin, name="agent client", daemon=True)
        thread.start()

        def end() -> None:
            over.set()
            executor.create_task(over.is_set)  # something to do, so that the thread looks up
            thread.join(timeout=2.0)
            executor.shutdown()

        stack.callback(end)
        return node


def finished(future: Future, seconds: float) -> Any:
    """What a future brings, waited for while another thread spins.

    Raises:
        TimeoutError: Nothing within that time.
    """
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(seconds):
        raise TimeoutError(f"no answer within {seconds:g} s")
    return future.result()


def _answer(message: Segment.Result) -> Answer:
    return Answer(
        outcome=OUTCOMES[message.outcome],
        error_code=ErrorCode(message.error_code),
        error_msg=message.error_msg,
        instances=_instances(message.instances),
        candidates=_instances(message.candidates),
        question=message.question,
        reason=message.reason,
        partial=message.partial,
        goal_id=message.goal_id,
        header=message.header,
        seconds=message.timings.total,
        message=message,
    )


def _instances(messages: Any) -> tuple[Instance, ...]:
    found = []
    for number, message in enumerate(messages, 1):
        roi = message.roi
        box = Box(roi.x_offset, roi.y_offset, roi.x_offset + roi.width, roi.y_offset + roi.height)
        found.append(Instance(to_mask(message.mask), box, message.confidence, number))
    return tuple(found)
