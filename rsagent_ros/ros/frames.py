"""Camera input: which frame a goal gets, how long it waits for one, and what it is told when there is none.

The contract:

- The newest frame counts. A frame whose stamp is older than `max_frame_age` by the node's clock (simulation time where
  `use_sim_time` is set), or as far in the future, is not looked at. A stamp of 0 counts as now.
- `camera_mode` on_demand: the topics are subscribed when a goal comes and dropped when it has its frame, or when what
  it found is no longer followed. A stamp in the past can't be served (NEEDS_BUFFER); a stamp of now or of the near
  future is waited for.
- `camera_mode` always: frames are kept for `buffer_seconds` and `buffer_megabytes`. A goal that names a stamp gets the
  nearest frame if that is within `stamp_tolerance`, else STAMP_NOT_BUFFERED; its age does not matter.
- Nobody waits longer than `frame_timeout`. Then the error says what is wrong with the topic: NO_PUBLISHER,
  QOS_MISMATCH, STALE_FRAME or NO_FRAME.
- When stamps go back (a bag that starts again), what was buffered is dropped.

`camera_info` and `depth` go with the frame where somebody publishes them with its stamp; the image never waits for them
longer than COMPANION_WAIT.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.ros.conversions import nanoseconds
from rsagent_ros.ros.footage import Footage
from rsagent_ros.ros.frame import Frame, companions, fitted, given_frame
from rsagent_ros.ros.goals import Run
from rsagent_ros.ros.images import to_rgb
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.ring import Ring, Stamped

COMPANION_WAIT = 0.1
"""Seconds that a frame waits for its camera_info and depth, where somebody publishes them."""

ON_DEMAND_SECONDS = 1.0
"""Of messages kept by camera_mode on_demand: what comes into question for a stamp of now."""


class Camera:
    """One camera of the node. `frame` is for one thread at a time, everything else for any."""

    def __init__(self, node: Node, parameters: Callable[[], NodeParameters], name: str = "") -> None:
        """Nothing is subscribed yet.

        Args:
            node: Whose topics `image`, `camera_info` and `depth` are meant.
            parameters: Gives the node's parameters as they are now.
            name: Before the names of the topics: `wrist` for `wrist/image`; empty for none.
        """
        self.name = name
        self._node = node
        self._parameters = parameters
        self._lock = threading.Lock()
        self._rings: dict[str, Ring] = {}
        self._watchers: list[Footage] = []
        self._subscribing = threading.Lock()
        self._users: set[object] = set()
        self._subscriptions: dict[str, Subscription] = {}
        self._group = MutuallyExclusiveCallbackGroup()
        self._settings = parameters()
        self._listener: Callable[[], None] | None = None
        self.received = 0

    @property
    def topic(self) -> str:
        """The image topic, remapped and with the suffix of its transport."""
        topic = self._topic("image")
        return topic + "/compressed" if self._settings.image_transport == "compressed" else topic

    @property
    def buffered(self) -> tuple[int, float, float]:
        """Frames, seconds and megabytes that are kept."""
        with self._lock:
            ring = self._rings.get("image")
            if ring is None or not ring.messages:
                return 0, 0.0, 0.0
            return len(ring.messages), (ring.messages[-1][0] - ring.messages[0][0]) / 1e9, ring.held / 1e6

    @property
    def publishers(self) -> int:
        """How many publish the image topic."""
        count: int = self._node.count_publishers(self.topic)
        return count

    def open(self) -> None:
        """Take over the parameters of camera and transport; with camera_mode always, subscribe and stay subscribed."""
        self._settings = self._parameters()
        if self._settings.camera_mode == "always":
            self._join(self)

    def close(self) -> None:
        """Drop subscriptions and what is buffered."""
        with self._lock:
            self._watchers.clear()
        with self._subscribing:
            self._users.clear()
            self._unsubscribe()

    def frame(self, run: Run, watcher: Footage | None = None) -> Frame | None:
        """The frame a goal asks for. Blocks until it is there, but no longer than the contract says.

        Args:
            run: The goal.
            watcher: Gets every image after that frame, until it `unwatch`es.

        Returns:
            The frame; None when the goal was stopped meanwhile.

        Raises:
            RunFailed: There is none; the sentence names the topic.
        """
        request = run.request
        if request.image is not None:
            return given_frame(request)
        on_demand = self._settings.camera_mode == "on_demand"
        now = self._now()
        if on_demand and 0 < request.stamp < now - run.parameters.stamp_tolerance * 1e9:
            raise RunFailed(
                ErrorCode.NEEDS_BUFFER,
                f"the stamp lies {(now - request.stamp) / 1e9:.3f} s in the past, and camera_mode on_demand keeps no "
                "frames: set camera_mode to always",
            )
        self._listener = run.poke
        self._join(run)
        try:
            frame = self._wait(run)
            if frame is not None and watcher is not None:
                self._watch(watcher, frame.stamp_ns)
            return frame
        finally:
            self._listener = None
            self._leave(run)

    def unwatch(self, watcher: Footage) -> None:
        """Give it no more images. Idempotent."""
        with self._lock:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
        self._leave(watcher)

    def depth_of(self, stamp: int, size: tuple[int, int]) -> tuple[CameraInfo | None, NDArray[np.float32] | None]:
        """The newest calibration, and the depth nearest to a stamp, as far as they have come and fit. Does not block.

        Args:
            stamp: Of an image, nanoseconds.
            size: (height, width) of it.
        """
        with self._subscribing:
            if self._subscriptions:
                self._subscribe()  # depth that nobody published when the goal came
        with self._lock:
            info, depth = self._nearest("camera_info", stamp), self._nearest("depth", stamp)
        if depth is not None and abs(depth[0] - stamp) > self._parameters().stamp_tolerance * 1e9:
            depth = None
        known, near = None if info is None else info[1], None if depth is None else depth[1]
        return companions(size, known, near, lambda why: None)  # `places` says that there is no depth, once

    def _watch(self, watcher: Footage, after: int) -> None:
        """Give it every image from now on; first those that have come since the stamp `after`."""
        self._join(watcher)
        with self._lock:
            ring = self._rings.get("image")
            for stamp, message in [] if ring is None else ring.messages:
                if stamp > after:
                    watcher.push(stamp, message)
            self._watchers.append(watcher)
        watcher.camera = self

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
        settings = self._settings
        always = settings.camera_mode == "always"
        if not self._subscriptions:
            with self._lock:
                seconds = settings.buffer_seconds if always else ON_DEMAND_SECONDS
                self._rings = {
                    name: Ring(seconds, settings.buffer_megabytes * 1e6) for name in ("image", "camera_info", "depth")
                }
            self._group = MutuallyExclusiveCallbackGroup()  # a new one: a group never forgets who has been in it
            compressed = settings.image_transport == "compressed"
            self._listen(CompressedImage if compressed else Image, self.topic, "image")
        for name, kind in (("camera_info", CameraInfo), ("depth", Image)):
            if name not in self._subscriptions and (always or self._published(name)):
                self._listen(kind, self._topic(name), name)

    def _unsubscribe(self) -> None:
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.popitem()[1])
        with self._lock:
            self._rings.clear()

    def _listen(self, kind: type, topic: str, name: str) -> None:
        self._subscriptions[name] = self._node.create_subscription(
            kind,
            topic,
            partial(self._receive, name),
            self._qos(),
            callback_group=self._group,
            # The node looks for QoS mismatches itself. rclpy's handlers for them are waited on in a way that can
            # raise in the executor when a subscription is dropped, which happens after every goal.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def _qos(self) -> QoSProfile:
        reliable = self._settings.image_reliability == "reliable"
        return QoSProfile(
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            history=HistoryPolicy.KEEP_LAST,
            depth=1,
        )

    def _receive(self, name: str, message: Stamped) -> None:
        parameters = self._parameters()
        stamp = nanoseconds(message.header.stamp) or self._now()
        with self._lock:
            ring = self._rings.get(name)
            if ring is None:
                return  # was on its way when the subscription was dropped
            if self._settings.camera_mode == "always":
                ring.seconds = parameters.buffer_seconds
            ring.bytes = parameters.buffer_megabytes * 1e6
            ring.push(stamp, message)
            if name == "image":
                self.received += 1
                for watcher in self._watchers:
                    watcher.push(stamp, message)
        listener = self._listener
        if listener is not None:
            listener()

    def _wait(self, run: Run) -> Frame | None:
        until = min(time.monotonic() + run.parameters.frame_timeout, run.deadline)
        while run.ending is None:
            found = self._fitting(run)
            if found is not None:
                return self._accompanied(run, *found)
            if time.monotonic() >= until:
                raise self._why_none(run)
            run.wait(until)
        return None

    def _fitting(self, run: Run) -> tuple[int, Image | CompressedImage] | None:
        """The frame that the goal may look at; None while it has to wait.

        Raises:
            RunFailed: STAMP_NOT_BUFFERED: waiting would not help.
        """
        wanted, parameters = run.request.stamp, run.parameters
        with self._lock:
            ring = self._rings["image"]
            if not ring.messages:
                return None
            oldest, newest = ring.messages[0][0], ring.messages[-1]
            entry = ring.nearest(wanted) if wanted else newest
        if entry is None:
            return None
        if not wanted:
            return entry if abs(self._now() - entry[0]) <= parameters.max_frame_age * 1e9 else None
        off = abs(entry[0] - wanted)
        if off <= parameters.stamp_tolerance * 1e9:
            return entry
        if wanted > newest[0]:
            return None
        raise RunFailed(
            ErrorCode.STAMP_NOT_BUFFERED,
            f"the frame of {self.topic} nearest to the stamp is {off / 1e9:.3f} s off, more than stamp_tolerance "
            f"({parameters.stamp_tolerance:g} s); the buffer goes back {(newest[0] - oldest) / 1e9:.3f} s",
        )

    def _accompanied(self, run: Run, stamp: int, message: Image | CompressedImage) -> Frame:
        """The frame with its camera_info and depth, where they come in time and fit."""
        rgb = to_rgb(message)
        until = min(time.monotonic() + COMPANION_WAIT, run.deadline)
        expected = [name for name in ("camera_info", "depth") if self._published(name)]
        while run.ending is None and time.monotonic() < until:
            if all(self._companion(name, run, stamp) is not None for name in expected):
                break
            run.wait(until)
        info, depth = self._companion("camera_info", run, stamp), self._companion("depth", run, stamp)
        frame = fitted(rgb, message.header, info, depth, self._node.get_logger().warning)
        return replace(frame, stamp_ns=stamp, camera=self.name)

    def _published(self, name: str) -> bool:
        return bool(self._node.count_publishers(self._topic(name)))

    def _topic(self, name: str) -> str:
        topic: str = self._node.resolve_topic_name(f"{self.name}/{name}" if self.name else name)
        return topic

    def _nearest(self, name: str, stamp: int) -> tuple[int, Any] | None:
        ring = self._rings.get(name)
        return None if ring is None else ring.nearest(stamp)

    def _companion(self, name: str, run: Run, stamp: int) -> Image | CameraInfo | None:
        with self._lock:
            nearest = self._nearest(name, stamp)
        if nearest is None or abs(nearest[0] - stamp) > run.parameters.stamp_tolerance * 1e9:
            return None
        return nearest[1]

    def _why_none(self, run: Run) -> RunFailed:
        """What is wrong with the topic, after the time for a frame is over."""
        topic, waited = self.topic, f"within {time.monotonic() - run.started:.2f} s"
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            return RunFailed(
                ErrorCode.NO_PUBLISHER,
                f"no publisher on {topic} {waited}: start the camera, or remap the topic `image` to the camera's",
            )
        mismatches = [told for told in map(self._mismatch, publishers) if told]
        if len(mismatches) == len(publishers):
            return RunFailed(
                ErrorCode.QOS_MISMATCH,
                f"no frame on {topic}: the publisher {mismatches[0]}; set image_reliability to match",
            )
        with self._lock:
            messages = self._rings["image"].messages
            newest = messages[-1][0] if messages else None
        if newest is not None and run.request.stamp:
            early = (run.request.stamp - newest) / 1e9
            return RunFailed(
                ErrorCode.NO_FRAME, f"the newest frame of {topic} is still {early:.3f} s before the stamp, {waited}"
            )
        if newest is not None:
            return RunFailed(ErrorCode.STALE_FRAME, f"the newest frame of {topic} {self._stale(run, newest)}")
        kind = "CompressedImage" if self._settings.image_transport == "compressed" else "Image"
        return RunFailed(
            ErrorCode.NO_FRAME,
            f"{len(publishers)} publisher(s) on {topic}, of {publishers[0].topic_type}, but no frame {waited}: is the "
            f"camera running, and are its messages sensor_msgs/msg/{kind}?",
        )

    def _mismatch(self, publisher: TopicEndpointInfo) -> str:
        """Why a publisher's messages do not reach us; empty if they should."""
        compatible, reason = qos_check_compatible(publisher.qos_profile, self._qos())
        if compatible != QoSCompatibility.ERROR:
            return ""
        if publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT:
            return "is best-effort, we asked for reliable"
        return f"and we do not agree ({reason.strip()})"

    def _stale(self, run: Run, stamp: int) -> str:
        age, limit = (self._now() - stamp) / 1e9, run.parameters.max_frame_age
        if self._now() == 0:
            return "can't be dated: use_sim_time is set, but nobody publishes /clock"
        if age < 0:
            return f"is stamped {-age:.3f} s in the future: the clocks of camera and node (use_sim_time) do not agree"
        return f"is {age:.3f} s old, more than max_frame_age ({limit:g} s)"

    def _now(self) -> int:
        now: int = self._node.get_clock().now().nanoseconds
        return now
