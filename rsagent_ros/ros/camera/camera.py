"""One camera of the node: its topics, subscribed as long as somebody needs them, and what has come of late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rsagent_ros.ros.camera.frame import companions
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.camera.message_buffer import MessageBuffer, Stamped
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.stamps import nanoseconds

ON_DEMAND_SECONDS = 1.0
"""Age of the messages that camera_mode on_demand keeps: what comes into question for a stamp of now."""

GRAPH_SECONDS = 1.0
"""Period of questions to the ROS graph whether somebody has begun to publish camera_info or depth."""


class Camera:
    """A camera's subscriptions and its latest messages. May be used from any thread; `subscribed` by one at a time."""

    def __init__(self, node: Node, parameters: Callable[[], NodeParameters], name: str = "") -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            node: Whose topics `image`, `camera_info` and `depth` are meant.
            parameters: Gives the node's parameters as they are now.
            name: Before the names of the topics: `wrist` for `wrist/image`; empty for none.
        """
        self.name = name
        self._node = node
        self._parameters = parameters
        self._lock = threading.Lock()
        self._buffers: dict[str, MessageBuffer] = {}
        self._frame_buffers: list[FrameBuffer] = []
        self._subscribing = threading.Lock()
        self._users: set[object] = set()
        self._subscriptions: dict[str, Subscription] = {}
        self._group = MutuallyExclusiveCallbackGroup()
        self._settings = parameters()
        self._listener: Callable[[], None] | None = None
        self._graph_asked = 0.0
        self.received = 0

    @property
    def topic(self) -> str:
        """The image topic, remapped and with the suffix of its transport."""
        topic = self._topic("image")
        return topic if self.message_type is Image else topic + "/compressed"

    @property
    def on_demand(self) -> bool:
        """Whether it is subscribed only while somebody needs it."""
        return self._settings.camera_mode == "on_demand"

    @property
    def message_type(self) -> type[Image | CompressedImage]:
        """Message type of the image topic."""
        return CompressedImage if self._settings.image_transport == "compressed" else Image

    @property
    def qos(self) -> QoSProfile:
        """QoS of the subscriptions: what is asked of the publishers."""
        reliable = self._settings.image_reliability == "reliable"
        return QoSProfile(
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            history=HistoryPolicy.KEEP_LAST,
            depth=1,
        )

    @property
    def span(self) -> tuple[int, int] | None:
        """Stamps of the oldest and the newest image that is kept, nanoseconds; None where there is none."""
        with self._lock:
            buffer = self._buffers.get("image")
            return None if buffer is None or not buffer.messages else (buffer.messages[0][0], buffer.messages[-1][0])

    @property
    def buffered(self) -> tuple[int, float, float]:
        """Frames, seconds and megabytes that are kept."""
        with self._lock:
            buffer = self._buffers.get("image")
            if buffer is None or not buffer.messages:
                return 0, 0.0, 0.0
            return len(buffer.messages), (buffer.messages[-1][0] - buffer.messages[0][0]) / 1e9, buffer.held / 1e6

    @property
    def publishers(self) -> int:
        """Number of publishers of the image topic."""
        count: int = self._node.count_publishers(self.topic)
        return count

    def open(self) -> None:
        """Take over the parameters of camera and transport; with camera_mode always, subscribe and stay subscribed."""
        self._settings = self._parameters()
        if not self.on_demand:
            self._join(self)

    def close(self) -> None:
        """Drop subscriptions and what is buffered."""
        with self._lock:
            self._frame_buffers.clear()
        with self._subscribing:
            self._users.clear()
            self._unsubscribe()

    @contextmanager
    def subscribed(self, user: object, poke: Callable[[], None]) -> Iterator[None]:
        """Stay subscribed within the block; `poke` is called after each message, in the thread that brings it."""
        self._listener = poke
        self._join(user)
        try:
            yield
        finally:
            self._listener = None
            self._leave(user)

    def watch(self, frames: FrameBuffer, after: int) -> None:
        """Give it every image from now on; first those that have come since the stamp `after`."""
        self._join(frames)
        with self._lock:
            buffer = self._buffers.get("image")
            for stamp, message in [] if buffer is None else buffer.messages:
                if stamp > after:
                    frames.push(stamp, message)
            self._frame_buffers.append(frames)
        frames.on_leave, frames.companions = partial(self._unwatch, frames), self.depth_of

    def depth_of(self, stamp: int, size: tuple[int, int]) -> tuple[CameraInfo | None, NDArray[np.float32] | None]:
        """The newest calibration, and the depth nearest to a stamp, as far as they have come and fit. Does not block.

        Args:
            stamp: Of an image, nanoseconds.
            size: (height, width) of it.
        """
        with self._subscribing:
            if self._subscriptions and time.monotonic() - self._graph_asked >= GRAPH_SECONDS:
                self._subscribe()  # depth that nobody published when the goal came
        info, depth = self.nearest("camera_info", stamp), self.nearest("depth", stamp)
        if depth is not None and abs(depth[0] - stamp) > self._parameters().stamp_tolerance * 1e9:
            depth = None
        known, near = None if info is None else info[1], None if depth is None else depth[1]
        return companions(size, known, near, lambda why: None)  # `Poses` logs once that there is no depth

    def nearest(self, name: str, stamp: int) -> tuple[int, Any] | None:
        """The buffered message of `image`, `camera_info` or `depth` whose stamp is nearest to one, and that stamp."""
        with self._lock:
            buffer = self._buffers.get(name)
            return None if buffer is None else buffer.nearest(stamp)

    def published(self, name: str) -> bool:
        """Whether anybody publishes `camera_info` or `depth`."""
        return bool(self._node.count_publishers(self._companion_topic(name)))

    def endpoints(self) -> list[TopicEndpointInfo]:
        """Publishers of the image topic, with their QoS."""
        publishers: list[TopicEndpointInfo] = self._node.get_publishers_info_by_topic(self.topic)
        return publishers

    def now(self) -> int:
        """The time by the node's clock, nanoseconds."""
        now: int = self._node.get_clock().now().nanoseconds
        return now

    def warn(self, sentence: str) -> None:
        """Log it."""
        self._node.get_logger().warning(sentence)

    def _unwatch(self, frames: FrameBuffer) -> None:
        """Give it no more images. Idempotent."""
        with self._lock:
            if frames in self._frame_buffers:
                self._frame_buffers.remove(frames)
        self._leave(frames)

    def _join(self, user: object) -> None:
        """Stay subscribed until this user, and all others, have left."""
        with self._subscribing:
            self._users.add(user)
            self._subscribe()

    def _leave(self, user: object) -> None:
        with self._subscribing:
            self._users.discard(user)
            if not self._users:
                self._unsubscribe()

    def _subscribe(self) -> None:
        """Subscribe to what is not subscribed yet; with camera_mode on_demand, only to what is published."""
        settings, self._graph_asked = self._settings, time.monotonic()
        if not self._subscriptions:
            with self._lock:
                seconds = ON_DEMAND_SECONDS if self.on_demand else settings.buffer_seconds
                self._buffers = {
                    name: MessageBuffer(seconds, settings.buffer_megabytes * 1e6)
                    for name in ("image", "camera_info", "depth")
                }
            self._group = MutuallyExclusiveCallbackGroup()  # a new one: a group never forgets who has been in it
            self._listen(self.message_type, self.topic, "image")
        depth = Image if settings.depth_transport == "raw" else CompressedImage
        for name, kind in (("camera_info", CameraInfo), ("depth", depth)):
            if name not in self._subscriptions and (not self.on_demand or self.published(name)):
                self._listen(kind, self._companion_topic(name), name)

    def _unsubscribe(self) -> None:
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.popitem()[1])
        with self._lock:
            self._buffers.clear()

    def _listen(self, kind: type, topic: str, name: str) -> None:
        self._subscriptions[name] = self._node.create_subscription(
            kind,
            topic,
            partial(self._receive, name),
            self.qos,
            callback_group=self._group,
            # The node looks for QoS mismatches itself. rclpy's handlers for them are waited on in a way that can
            # raise in the executor when a subscription is dropped, which happens after every goal.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def _receive(self, name: str, message: Stamped) -> None:
        parameters = self._parameters()
        stamp = nanoseconds(message.header.stamp) or self.now()
        with self._lock:
            buffer = self._buffers.get(name)
            if buffer is None:
                return  # was on its way when the subscription was dropped
            if not self.on_demand:
                buffer.seconds = parameters.buffer_seconds
            buffer.bytes = parameters.buffer_megabytes * 1e6
            buffer.push(stamp, message)
            if name == "image":
                self.received += 1
                for frames in self._frame_buffers:
                    frames.push(stamp, message)
        listener = self._listener
        if listener is not None:
            listener()

    def _companion_topic(self, name: str) -> str:
        """The topic of `camera_info` or `depth`, with the suffix of its transport."""
        transport = self._settings.depth_transport
        return self._topic(name) + (f"/{transport}" if name == "depth" and transport != "raw" else "")

    def _topic(self, name: str) -> str:
        topic: str = self._node.resolve_topic_name(f"{self.name}/{name}" if self.name else name)
        return topic
