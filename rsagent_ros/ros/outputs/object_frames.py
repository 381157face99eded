"""A tf frame for each tracked object, with the parameter `object_frames`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from rsagent_ros.ros.outputs.found_object import FoundObject

DEPTH = 100


class ObjectFrames:
    """Publisher on /tf: `agent/track_7` in the frame of the object's pose."""

    def __init__(self, node: Node) -> None:
        """Prepare; nothing is published yet."""
        self._node = node
        self._prefix = node.get_fully_qualified_name().lstrip("/")
        self._publisher: Any = None
        self._message: Any = None

    def open(self, wanted: bool) -> None:
        """Publish from now on, if that is wanted. Warns where tf2_msgs is not installed."""
        if not wanted or self._publisher is not None:
            return
        try:
            from tf2_msgs.msg import TFMessage  # comes with ROS from apt, and is in no registry of Python packages
        except ImportError as error:
            self._node.get_logger().warning(f"object_frames: no frames are published, as {error}; it comes with ROS")
            return
        self._message, self._publisher = TFMessage, self._node.create_publisher(TFMessage, "/tf", DEPTH)

    def close(self) -> None:
        """Publish no more. Idempotent."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._node.destroy_publisher(publisher)

    @property
    def wanted(self) -> bool:
        """Whether frames are published."""
        return self._publisher is not None

    def publish(self, objects: Sequence[FoundObject]) -> None:
        """Publish the frames of tracked objects that have a pose."""
        publisher = self._publisher
        frames = [self._frame(one) for one in objects if one.track_id >= 0 and one.pose is not None]
        if publisher is not None and frames:
            publisher.publish(self._message(transforms=frames))

    def _frame(self, one: FoundObject) -> TransformStamped:
        if one.pose is None:
            raise RuntimeError("an object without a pose has no frame")
        frame = TransformStamped(header=one.pose.header, child_frame_id=f"{self._prefix}/{one.object_id}")
        position = one.pose.pose.position
        frame.transform.translation.x = position.x
        frame.transform.translation.y = position.y
        frame.transform.translation.z = position.z
        frame.transform.rotation = one.pose.pose.orientation
        return frame
