"""Poses in another frame, through tf2 where it is installed. Nothing is ever waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PoseStamped, Quaternion
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time


class Transforms:
    """Moves poses into `output_frame`. A pose whose transform is not there stays where it is: its header says where."""

    def __init__(self, node: Node) -> None:
        """Nothing is subscribed yet."""
        self._node = node
        self._target = ""
        self._buffer: Any = None
        self._listener: Any = None
        self._failure: type[Exception] = Exception
        self.problem = ""
        """Why the last pose stayed where it was; empty if it did not, or need not move."""

    def open(self, target: str) -> None:
        """Listen to /tf and /tf_static, unless the target is empty. Says so where tf2_ros is not installed."""
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
        """Stop listening. Idempotent."""
        listener, self._listener, self._buffer = self._listener, None, None
        if listener is not None:
            listener.unregister()

    def moved(self, pose: PoseStamped) -> PoseStamped:
        """The pose in the target frame, by the transform of the pose's own stamp; the pose itself where there is none.

        A camera that moves makes an older transform wrong, and a newer one too: neither is used.
        """
        buffer = self._buffer
        if buffer is None or pose.header.frame_id == self._target:
            return pose
        try:
            found = buffer.lookup_transform(self._target, pose.header.frame_id, Time.from_msg(pose.header.stamp))
        except self._failure as error:
            self.problem = f"no transform from {pose.header.frame_id!r} to {self._target!r}: {error}"
            return pose
        self.problem = ""
        return _moved(pose, found)


def _moved(pose: PoseStamped, transform: Any) -> PoseStamped:
    """A pose by a geometry_msgs/TransformStamped."""
    shift, turn = transform.transform.translation, _numbers(transform.transform.rotation)
    here = pose.pose.position
    place = np.array([shift.x, shift.y, shift.z]) + _rotated(turn, np.array([here.x, here.y, here.z]))
    orientation = _product(turn, _numbers(pose.pose.orientation))
    moved = PoseStamped()
    moved.header.stamp, moved.header.frame_id = pose.header.stamp, transform.header.frame_id
    moved.pose.position = Point(x=float(place[0]), y=float(place[1]), z=float(place[2]))
    x, y, z, w = (float(part) for part in orientation)
    moved.pose.orientation = Quaternion(x=x, y=y, z=z, w=w)
    return moved


def _numbers(quaternion: Quaternion) -> NDArray[np.float64]:
    return np.array([quaternion.x, quaternion.y, quaternion.z, quaternion.w])


def _rotated(quaternion: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector turned by a quaternion (x, y, z, w) of length 1."""
    across = 2 * np.cross(quaternion[:3], vector)
    return np.asarray(vector + quaternion[3] * across + np.cross(quaternion[:3], across))


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hamilton's product of two quaternions (x, y, z, w): first b, then a."""
    return np.array([*(a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])), a[3] * b[3] - a[:3] @ b[:3]])
