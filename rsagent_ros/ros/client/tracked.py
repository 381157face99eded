"""`Tracked`: where a tracked object is in one image, as `Agent.tracked` gives it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from rsagent_ros.agent.mask import Mask
from rsagent_ros.images import to_mask
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from rsagent_ros.ros.client.action_client import AgentUnavailable
from rsagent_ros.ros.client.answer import position_of, position_text
from rsagent_ros.ros.newest import Newest
from rsagent_ros.ros.stamps import nanoseconds

STATES = {
    TrackedMaskMessage.TRACKING: "tracking",
    TrackedMaskMessage.LOST: "lost",
    TrackedMaskMessage.STOPPED: "stopped",
}

KEPT = 256
"""Tracks whose newest mask is kept for a caller that asks late."""

POLL = 0.2
"""Longest single wait for a mask, seconds."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """One object in one image.

    Attributes:
        state: `tracking`, `lost` (it may come back) or `stopped` (the last one of its track).
        mask: (H, W) bool, of the image's size; empty unless `tracking`.
        track_id: Of the object.
        goal_id: Of the goal that found it.
        age: Seconds between the image that the agent saw it on and this one.
        score: The tracker's, 0..1.
        position: (3,) metres, centre of the oriented box, in `frame_id`; None where unknown.
        frame_id: The camera's optical frame, or the node's `output_frame`; empty where the position is unknown.
        header: Of the image: stamp, and camera optical frame.
        message: Everything else.
    """

    state: str
    mask: Mask
    track_id: int
    goal_id: str
    age: float
    score: float
    position: NDArray[np.float64] | None
    frame_id: str
    header: Header
    message: TrackedMaskMessage = field(repr=False)

    @property
    def stamp_ns(self) -> int:
        """Stamp of the image, nanoseconds."""
        return nanoseconds(self.header.stamp)

    def __repr__(self) -> str:
        where = position_text(self.position, self.frame_id)
        return (
            f"Tracked({self.state}, track_id={self.track_id}, score={self.score:.2f}, age={self.age:.2f} s{where}, "
            f"goal_id={self.goal_id!r})"
        )


class TrackedMasks:
    """Subscription to an agent's `~/tracked_mask` that keeps the newest mask of each track. Thread-safe."""

    def __init__(self, node: Node, topic: str) -> None:
        """Subscribe; the node has to be spun in another thread."""
        self._node = node
        self._change = threading.Condition()
        self._newest: Newest[int, TrackedMaskMessage] = Newest(KEPT)
        self._active: Newest[int, str] = Newest(KEPT)
        """Goals of the tracks that have not stopped, whether or not their masks were read."""
        qos = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        # Without event handlers: those can't be destroyed while another thread waits for them.
        handlers = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._subscription = node.create_subscription(
            TrackedMaskMessage, topic, self.receive, qos, event_callbacks=handlers
        )

    def close(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self._subscription)

    def follow(
        self, goal_id: str, seconds: float | None, alive: Callable[[], bool], stopped: Callable[[], bool]
    ) -> Iterator[Tracked]:
        """Yield the newest mask of each track of a goal, until all of them have stopped or the time is over.

        Args:
            goal_id: Empty for any goal's.
            seconds: Of steady clock; None for no end.
            alive: Whether the agent is still there.
            stopped: Whether the caller wants no more; asked every `POLL` seconds at least.

        Raises:
            AgentUnavailable: The agent is gone.
        """
        until = math.inf if seconds is None else time.monotonic() + seconds
        begun = bool(goal_id)  # else a stopped track may be of the goal before
        while (left := until - time.monotonic()) > 0 and not stopped():
            with self._change:
                fresh = [message for message in self._newest.values() if goal_id in ("", message.goal_id)]
                for message in fresh:
                    del self._newest[message.track_id]
                if not fresh:
                    self._change.wait(min(left, POLL))
            if not fresh and not alive():
                raise AgentUnavailable("the agent went away while it tracked")
            for message in fresh:
                begun = begun or message.state != TrackedMaskMessage.STOPPED
                yield _tracked(message)
            if fresh and begun and not self._any_active(goal_id):
                return

    def receive(self, message: TrackedMaskMessage) -> None:
        """Take a message; called by the executor."""
        with self._change:
            self._newest[message.track_id] = message
            if message.state == TrackedMaskMessage.STOPPED:
                self._active.pop(message.track_id, None)
            else:
                self._active[message.track_id] = message.goal_id
            self._change.notify_all()

    def _any_active(self, goal_id: str) -> bool:
        """Whether a track has not stopped, or nobody has read that it has."""
        with self._change:
            unread = (message.goal_id for message in self._newest.values())
            return any(goal_id in ("", goal) for goal in (*self._active.values(), *unread))


def _tracked(message: TrackedMaskMessage) -> Tracked:
    return Tracked(
        state=STATES[message.state],
        mask=to_mask(message.image),
        track_id=message.track_id,
        goal_id=message.goal_id,
        age=message.age,
        score=message.score,
        position=position_of(message),
        frame_id=message.pose.header.frame_id if message.has_pose else "",
        header=message.header,
        message=message,
    )
