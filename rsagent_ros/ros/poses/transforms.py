"""Poses in another frame, through tf2 where it is installed. Never waits for a transform."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PoseStamped, Quaternion
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time


class Transforms:
    """Transforms of poses to `output_frame`; without one, a pose stays in its frame, as its header says.

    Attributes:
        problem: Why the last pose stayed in its frame; empty if it did not, or needed no transform.
    """

    def __init__(self, node: Node) -> None:
        """Prepare; nothing is subscribed yet."""
        self._node = node
        self._target = ""
        self._buffer: Any = None
        self._listener: Any = None
        self._failure: type[Exception] = Exception
        self.problem = ""

    def open(self, target: str) -> None:
        """Subscribe to /tf and /tf_static, unless the target is empty. Warns where tf2_ros is not installed."""
        self.close()
        self._target, self.problem = target, ""
        if not target:
            return
        try:
            import tf2_ros  # comes with ROS from apt, and is in no registry of Python packages
        except ImportError as error:
            self.problem = f"output_frame is {target!r}, but tf2_ros can't be imported ({error})"
            self._node.get_logger().warning(f"{self.problem}: poses stay in the camera's optical frame")
            return
        self._failure = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, self._node)

    def close(self) -> None:
        """Unsubscribe. Idempotent."""
        listener, self._listener, self._buffer = self._listener, None, None
        if listener is not None:
            listener.unregister()

    def transformed(self, pose: PoseStamped) -> PoseStamped:
        """The pose in the target frame, by the transform at the pose's stamp; the pose itself where there is none.

        The camera may move: neither an older nor a newer transform is used.
        """
        buffer = self._buffer
        if buffer is None or pose.header.frame_id == self._target:
            return pose
        try:
            found = buffer.lookup_transform(self._target, pose.header.frame_id, Time.from_msg(pose.header.stamp))
        except self._failure as error:
            self.problem = f"no transform from {pose.header.frame_id!r} to {self._target!r}: {error}"
            return pose
        moved = _transformed(pose, found)
        point, rotation = moved.pose.position, moved.pose.orientation
        if not np.isfinite((point.x, point.y, point.z, rotation.x, rotation.y, rotation.z, rotation.w)).all():
            self.problem = f"the transform from {pose.header.frame_id!r} to {self._target!r} is not of finite numbers"
            return pose
        self.problem = ""
        return moved


def _transformed(pose: PoseStamped, transform: Any) -> PoseStamped:
    """Apply a geometry_msgs/TransformStamped to a pose."""
    shift, rotation = transform.transform.translation, _vector(transform.transform.rotation)
    point = pose.pose.position
    position = np.array([shift.x, shift.y, shift.z]) + _rotated(rotation, np.array([point.x, point.y, point.z]))
    orientation = _product(rotation, _vector(pose.pose.orientation))
    result = PoseStamped()
    result.header.stamp, result.header.frame_id = pose.header.stamp, transform.header.frame_id
    result.pose.position = Point(**dict(zip("xyz", map(float, position), strict=True)))
    result.pose.orientation = Quaternion(**dict(zip("xyzw", map(float, orientation), strict=True)))
    return result


def _vector(quaternion: Quaternion) -> NDArray[np.float64]:
    return np.array([quaternion.x, quaternion.y, quaternion.z, quaternion.w])


def _rotated(quaternion: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) vector rotated by a unit quaternion (x, y, z, w)."""
    across = 2 * np.cross(quaternion[:3], vector)
    return np.asarray(vector + quaternion[3] * across + np.cross(quaternion[:3], across))


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hamilton product of two quaternions (x, y, z, w): first b, then a."""
    return np.array([*(a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])), a[3] * b[3] - a[:3] @ b[:3]])
