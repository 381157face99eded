"""For whoever plans: send a goal in words, wait, get masks.

    from rsagent_ros.ros.client.agent import Agent

    with Agent() as agent:
        answer = agent.segment("the red mug")
        if answer.outcome == "found":
            grasp(answer.mask)
        answer = agent.segment("the red mug", track=True)
        for now in agent.tracked(answer.goal_id, seconds=10.0):
            servo(now.mask, now.header)

Inside a process that runs a node already, `Agent(node=node)` uses that one, which somebody else has to spin.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import numpy as np
from action_msgs.msg import GoalStatus
from lifecycle_msgs.srv import GetState
from numpy.typing import NDArray
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
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
from rsagent_ros.ros.client.own_node import own_node
from rsagent_ros.ros.client.tracked import Tracked, TrackedMasks
from rsagent_ros.ros.conversions import OUTCOME_NUMBERS, stamp, turn_of

__all__ = ["Agent", "AgentUnavailable", "Answer"]

CANCEL_SECONDS = 2.0
"""How long a client that gives up waits for its cancel request to be acknowledged."""

POLL_SECONDS = 0.01

ENDED = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED)

WATCH_SECONDS = 0.25
"""Between looks whether the agent is still there. One that was killed is missed when its DDS lease is over."""

CANCEL_POLL = 0.05
"""Seconds within which a raised cancel token is noticed."""

LATE_TURNS_SECONDS = 0.5
"""Turns come on a topic of their own: the last ones may arrive after the result, and are waited for so long."""


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
        self._stops: Publisher | None = None
        self._node: Node | None = None
        self._tracked: TrackedMasks | None = None
        self._listening = threading.Lock()
        self._clock = Clock()
        self._resources = ExitStack()

    def __enter__(self) -> Agent:
        with ExitStack() as stack:
            node = own_node(stack) if self._given is None else self._given
            self._client = SafeActionClient(node, self._action)
            stack.callback(self._client.destroy)
            self._state = node.create_client(GetState, f"{self._name}/get_state")
            stack.callback(node.destroy_client, self._state)
            self._clock = node.get_clock()
            # Without event handlers: those can't be destroyed while another thread waits for them.
            handlers = PublisherEventCallbacks(use_default_callbacks=False)
            self._verdicts = node.create_publisher(Verdict, f"{self._name}/verdict", 10, event_callbacks=handlers)
            stack.callback(node.destroy_publisher, self._verdicts)
            self._stops = node.create_publisher(String, f"{self._name}/stop_tracking", 10, event_callbacks=handlers)
            stack.callback(node.destroy_publisher, self._stops)
            self._node = node
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._client = self._state = self._verdicts = self._stops = self._node = None
        if self._tracked is not None:
            self._tracked.close()
        self._tracked = None
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
        follows: str = "",
        track: bool = False,
        reground: bool = False,
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
            follows: Id of an ambiguous goal whose question this instruction answers.
            track: Follow what was found, for `tracked`; from then on the client receives masks until it is closed.
            reground: The same, and let the agent look again where it is lost.
            on_turn: Called with each turn as it was taken, in another thread.
            cancel: Raised by another thread to cancel the goal; the answer, then CANCELED, is still waited for.
            timeout: Seconds to wait for the answer; None: as long as it takes, which the node's budget bounds.

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
        self._wait_for_server(client, cancel)
        if cancel is not None and cancel.is_set:  # nothing was sent, so there is nothing to end
            canceled = OUTCOME_NUMBERS[Outcome.CANCELED]
            return answer_of(Segment.Result(outcome=canceled, goal_id=goal.id, instruction=goal.instruction))
        if goal.track or goal.reground:
            self._tracks()  # listens before there is anything to miss
        news = threading.Event()
        failures: list[Exception] = []
        heard = 0

        def turn(message: Any) -> None:
            nonlocal heard
            if not message.feedback.turn.index:
                return  # what happens before the first turn
            try:
                if on_turn is not None:
                    on_turn(turn_of(message.feedback.turn))
            except Exception as error:  # belongs to the caller of `send`, not to the thread that spins
                failures.append(error)
            heard += 1
            news.set()

        until = math.inf if timeout is None else time.monotonic() + timeout
        handle = client.send(goal, turn, self._seconds)
        taken_by = client.servers()
        try:
            ended_at = math.inf
            future = client.result_of(handle)
            future.add_done_callback(lambda _: news.set())
            asked = False
            while not future.done():
                news.wait(max(0.0, min(WATCH_SECONDS if cancel is None else CANCEL_POLL, until - time.monotonic())))
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
                if not taken_by & client.servers():  # no message tells that a server has gone
                    raise AgentUnavailable(f"{self._action!r} went away while it worked on the goal")
                if handle.status in ENDED and now - ended_at > RESEND_SECONDS:  # the response got lost
                    future, ended_at = client.result_of(handle), math.inf
                    future.add_done_callback(lambda _: news.set())
                elif handle.status in ENDED:
                    ended_at = min(ended_at, now)
        except AgentUnavailable:
            raise  # nobody is there to cancel it
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
        return answer_of(result)

    def _wait_for_server(self, client: SafeActionClient, cancel: CancelToken | None) -> None:
        """Until the agent is there, or `cancel` is raised.

        Raises:
            AgentUnavailable: It is not.
        """
        until = time.monotonic() + self._seconds
        poll = self._seconds if cancel is None else CANCEL_POLL
        while not client.wait_for_server(timeout_sec=max(0.0, min(poll, until - time.monotonic()))):
            if cancel is not None and cancel.is_set:
                return
            if time.monotonic() >= until:
                raise AgentUnavailable(
                    f"no action server {self._action!r} after {self._seconds:g} s: is the agent running, under that "
                    "name and with the same ROS_DOMAIN_ID?"
                )

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
        verdict = Verdict(goal_id=goal_id, source=source, accepted=accepted, absent=absent, note=note)
        verdict.stamp = self._clock.now().to_msg()
        if mask is not None:
            verdict.corrected_mask = mask_image(mask, Header())
        self._publish(self._verdicts, verdict, "verdict")

    def tracked(
        self, goal_id: str = "", seconds: float | None = None, *, cancel: CancelToken | None = None
    ) -> Generator[Tracked, None, None]:
        """Where the things are that a goal has found and the agent follows, image by image.

        The newest counts: who is slow misses what was in between. A thing that is `lost` may come back; the end is when
        all have `stopped`. Begin after the goal was sent.

        Args:
            goal_id: `Answer.goal_id`; empty: whatever is followed.
            seconds: After which it ends; None: when all have stopped, and not before.
            cancel: Ends it from another thread.

        Raises:
            AgentUnavailable: The agent went away.
        """
        client, tracks = self._client, self._tracks()
        try:
            yield from tracks.follow(
                goal_id,
                seconds,
                alive=lambda: client is not None and client.server_is_ready(),
                stopped=lambda: cancel is not None and cancel.is_set,
            )
        except ConnectionError as error:
            raise AgentUnavailable(str(error)) from error

    def stop_tracking(self, goal_id: str = "") -> None:
        """Follow what this goal has found no longer; whatever is followed, if empty. The last masks say `stopped`.

        Raises:
            AgentUnavailable: No agent listens.
        """
        if self._stops is None:
            raise RuntimeError("the agent's client is not open; use `with Agent() as agent:`")
        self._publish(self._stops, String(data=goal_id), "stop_tracking")

    def _tracks(self) -> TrackedMasks:
        with self._listening:
            if self._node is None:
                raise RuntimeError("the agent's client is not open; use `with Agent() as agent:`")
            if self._tracked is None:
                self._tracked = TrackedMasks(self._node, f"{self._name}/tracked_mask")
            return self._tracked

    def _publish(self, publisher: Publisher, message: Any, topic: str) -> None:
        """Publish something that somebody has to take.

        Raises:
            AgentUnavailable: Nobody does.
        """
        until = time.monotonic() + self._seconds
        while not publisher.get_subscription_count():
            if time.monotonic() >= until:
                raise AgentUnavailable(f"nobody listens on {self._name}/{topic} after {self._seconds:g} s")
            time.sleep(POLL_SECONDS)
        publisher.publish(message)
        if not publisher.wait_for_all_acked(Duration(seconds=max(0.0, until - time.monotonic()))):
            raise AgentUnavailable(f"nobody took the message on {self._name}/{topic} within {self._seconds:g} s")
