"""What a planner sees of tracks: the newest mask of each thing, as `Agent.tracked` gives it."""

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
from rsagent_ros.ros.conversions import nanoseconds
from rsagent_ros.ros.goals.newest import Newest

STATES = {
    TrackedMaskMessage.TRACKING: "tracking",
    TrackedMaskMessage.LOST: "lost",
    TrackedMaskMessage.STOPPED: "stopped",
}

KEPT = 256
"""Tracks whose newest mask is kept for who asks late."""

PATIENCE = 0.2
"""Seconds that one wait for a mask takes at most."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """Where one thing is in one image.

    Attributes:
        state: `tracking`, `lost` (it may come back) or `stopped` (the last one of its track).
        mask: (H, W) bool, of the image's size; empty unless `tracking`.
        track_id: Of the thing.
        goal_id: Of the goal that found it.
        age: Seconds between the image that the agent saw it on and this one.
        score: The tracker's, 0..1.
        position: (3,) metres, the centre of its box, in the frame `message.pose.header.frame_id`; None where unknown.
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
    header: Header
    message: TrackedMaskMessage = field(repr=False)

    @property
    def stamp_ns(self) -> int:
        """Of the image, nanoseconds."""
        return nanoseconds(self.header.stamp)


class TrackedMasks:
    """Listens to an agent's `~/tracked_mask`; keeps the newest of each track. Thread-safe."""

    def __init__(self, node: Node, topic: str) -> None:
        """Subscribe; somebody has to spin the node in another thread."""
        self._node = node
        self._change = threading.Condition()
        self._newest: Newest[int, TrackedMaskMessage] = Newest(KEPT)
        self._going: Newest[int, str] = Newest(KEPT)
        """Goals of the tracks that have not stopped, whoever has read their masks."""
        qos = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
        # Without event handlers: those can't be destroyed while another thread waits for them.
        handlers = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._subscription = node.create_subscription(
            TrackedMaskMessage, topic, self._receive, qos, event_callbacks=handlers
        )

    def close(self) -> None:
        """Listen no more."""
        self._node.destroy_subscription(self._subscription)

    def follow(
        self, goal_id: str, seconds: float | None, alive: Callable[[], bool], stopped: Callable[[], bool]
    ) -> Iterator[Tracked]:
        """The newest mask of each track of a goal, until all of them have stopped or the time is over.

        Args:
            goal_id: Empty for any goal's.
            seconds: Of steady clock; None for no end.
            alive: Whether the agent is still there.
            stopped: Whether the caller wants no more; asked every `PATIENCE` seconds at least.

        Raises:
            ConnectionError: It is not.
        """
        until = math.inf if seconds is None else time.monotonic() + seconds
        begun = bool(goal_id)  # else what has stopped may be of the goal before
        while (left := until - time.monotonic()) > 0 and not stopped():
            with self._change:
                fresh = [message for message in self._newest.values() if goal_id in ("", message.goal_id)]
                for message in fresh:
                    del self._newest[message.track_id]
                if not fresh:
                    self._change.wait(min(left, PATIENCE))
            if not fresh and not alive():
                raise ConnectionError("the agent went away while its tracks were followed")
            for message in fresh:
                begun = begun or message.state != TrackedMaskMessage.STOPPED
                yield _tracked(message)
            if fresh and begun and not self._any_goes_on(goal_id):
                return

    def _any_goes_on(self, goal_id: str) -> bool:
        """Whether one has not stopped, or nobody has read that it has."""
        with self._change:
            unread = (message.goal_id for message in self._newest.values())
            return any(goal_id in ("", goal) for goal in (*self._going.values(), *unread))

    def _receive(self, message: TrackedMaskMessage) -> None:
        with self._change:
            self._newest[message.track_id] = message
            if message.state == TrackedMaskMessage.STOPPED:
                self._going.pop(message.track_id, None)
            else:
                self._going[message.track_id] = message.goal_id
            self._change.notify_all()


def _tracked(message: TrackedMaskMessage) -> Tracked:
    place = message.pose.pose.position
    return Tracked(
        state=STATES[message.state],
        mask=to_mask(message.image),
        track_id=message.track_id,
        goal_id=message.goal_id,
        age=message.age,
        score=message.score,
        position=np.array([place.x, place.y, place.z]) if message.has_pose else None,
        header=message.header,
        message=message,
    )
