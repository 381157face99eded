"""Poses of found objects: filled into messages where depth allows, with the reason in diagnostics where it does not."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Vector3
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from rsagent_ros.agent.mask import Mask
from rsagent_ros.msg import Instance, TrackedMask
from rsagent_ros.pose3d import NoPose, Pose3d, estimate_pose
from rsagent_ros.records.message_fields import camera_of
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.poses.points import point_cloud
from rsagent_ros.ros.poses.transforms import Transforms


class Poses:
    """Poses for messages, and `~/object_points` while somebody subscribes. Thread-safe.

    Attributes:
        count: Poses that were filled in since the node started.
        problem: Why the last mask got none; empty if it got one.
    """

    def __init__(self, node: Node) -> None:
        """Create the publisher; call `open` before the first pose."""
        self.count = 0
        self.problem = ""
        self._log = node.get_logger()
        self._logged: set[str] = set()
        self._transforms = Transforms(node)
        self._points = node.create_publisher(PointCloud2, "~/object_points", 1)
        self._lock = threading.Lock()

    def open(self, output_frame: str) -> None:
        """Give poses in this frame from now on; empty: in the camera's optical frame."""
        self._transforms.open(output_frame)

    def close(self) -> None:
        """Unsubscribe from transforms."""
        self._transforms.close()

    @property
    def transform_problem(self) -> str:
        """Why the last pose is not in `output_frame`; empty if it is."""
        return self._transforms.problem

    def fill(self, message: Instance | TrackedMask, mask: Mask, frame: Frame) -> Pose3d | None:
        """Set pose and size of a message, if they can be estimated. Takes a few milliseconds.

        Args:
            message: About one object.
            mask: (H, W) bool of it.
            frame: The image that the mask belongs to.

        Returns:
            The pose in the camera's optical frame; None where there is none.
        """
        pose = self._estimate(mask, frame)
        if isinstance(pose, str):
            self.problem = pose
            return None
        self.problem = ""
        with self._lock:
            self.count += 1
        x, y, z = (float(part) for part in pose.position)
        orientation = Quaternion(**dict(zip("xyzw", map(float, pose.orientation), strict=True)))
        stamped = PoseStamped(header=frame.header, pose=Pose(position=Point(x=x, y=y, z=z), orientation=orientation))
        message.has_pose, message.pose = True, self._transforms.transformed(stamped)
        message.size = Vector3(**dict(zip("xyz", map(float, pose.size), strict=True)))
        return pose

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to the points."""
        return bool(self._points.get_subscription_count())

    def publish(self, poses: Sequence[Pose3d], header: Header) -> None:
        """Publish the points of objects seen in one image, if somebody subscribes."""
        if poses and self.wanted:
            self._points.publish(point_cloud(poses, header))

    def _estimate(self, mask: Mask, frame: Frame) -> Pose3d | str:
        """The pose, or why there is none."""
        if frame.depth is None:
            return self._logged_once("depth", "there is no depth image with the image's stamp and size")
        if frame.camera_info is None:
            return self._logged_once("info", "there is no camera_info of the image's size")
        camera = camera_of(frame.camera_info)
        if camera is None:
            return self._logged_once(
                "calibration", "camera_info holds no numbers of a lens: the camera is not calibrated"
            )
        pose = estimate_pose(mask, frame.depth, camera, frame.rgb if self.wanted else None)
        if isinstance(pose, NoPose):
            self._log.debug(f"no pose: {pose.reason}")
            return pose.reason
        return pose

    def _logged_once(self, kind: str, reason: str) -> str:
        if kind in self._logged:
            self._log.debug(f"no pose: {reason}")
        else:
            self._logged.add(kind)
            self._log.info(f"no pose: {reason}")
        return reason
