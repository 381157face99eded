"""Where found things are: fills pose and size of messages from depth, where there is any, and says why where not."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Vector3
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header

from rsagent_ros.agent.mask import Mask
from rsagent_ros.msg import Instance, TrackedMask
from rsagent_ros.pose3d import NoPlace, Place, locate
from rsagent_ros.records.messages import camera_of
from rsagent_ros.ros.poses.points import points_message
from rsagent_ros.ros.poses.transforms import Transforms


@dataclass(frozen=True, eq=False)
class View:
    """What a place is worked out from.

    Attributes:
        header: Of the image; its frame is the camera's optical one.
        rgb: (H, W, 3) uint8, for the colours of points; None for none.
        camera_info: Of the image; None where unknown.
        depth: (H, W) float32 metres; None where there is none.
    """

    header: Header
    rgb: NDArray[np.uint8] | None
    camera_info: CameraInfo | None
    depth: NDArray[np.float32] | None


class Poses:
    """Works out places, and publishes the points of things while somebody listens. Thread-safe.

    Attributes:
        count: Poses that were filled in since the node started.
        problem: Why the last thing got none; empty if it got one.
    """

    def __init__(self, node: Node) -> None:
        """Create the publisher; call `open` before the first place."""
        self.count = 0
        self.problem = ""
        self._log = node.get_logger()
        self._told: set[str] = set()
        self._transforms = Transforms(node)
        self._points = node.create_publisher(PointCloud2, "~/object_points", 1)
        self._lock = threading.Lock()

    def open(self, output_frame: str) -> None:
        """Give poses in this frame from now on; empty: in the camera's optical frame."""
        self._transforms.open(output_frame)

    def close(self) -> None:
        """Listen to no transforms any more."""
        self._transforms.close()

    @property
    def untransformed(self) -> str:
        """Why the last pose is not in `output_frame`; empty if it is."""
        return self._transforms.problem

    def fill(self, message: Instance | TrackedMask, mask: Mask, view: View) -> Place | None:
        """Set pose and size of a message where they can be known; a few milliseconds. Returns the place, if any.

        Args:
            message: About the thing.
            mask: (H, W) bool of it.
            view: What the mask belongs to.
        """
        place = self._locate(mask, view)
        if isinstance(place, str):
            self.problem = place
            return None
        self.problem = ""
        with self._lock:
            self.count += 1
        x, y, z = (float(part) for part in place.position)
        turn = Quaternion(**dict(zip("xyzw", map(float, place.orientation), strict=True)))
        pose = PoseStamped(header=view.header, pose=Pose(position=Point(x=x, y=y, z=z), orientation=turn))
        message.has_pose, message.pose = True, self._transforms.moved(pose)
        message.size = Vector3(**dict(zip("xyz", map(float, place.size), strict=True)))
        return place

    @property
    def wanted(self) -> bool:
        """Whether somebody listens to the points."""
        return bool(self._points.get_subscription_count())

    def publish(self, places: Sequence[Place], header: Header) -> None:
        """Send the points of things seen in one image, if somebody wants them."""
        if places and self.wanted:
            self._points.publish(points_message(places, header))

    def _locate(self, mask: Mask, view: View) -> Place | str:
        """The place, or why there is none."""
        if view.depth is None:
            return self._told_once("depth", "there is no depth image with the image's stamp and size")
        if view.camera_info is None:
            return self._told_once("info", "there is no camera_info of the image's size")
        camera = camera_of(view.camera_info)
        if camera is None:
            return self._told_once("calibration", "camera_info holds no focal length: the camera is not calibrated")
        place = locate(mask, view.depth, camera, view.rgb if self.wanted else None)
        if isinstance(place, NoPlace):
            self._log.debug(f"no pose: {place.reason}")
            return place.reason
        return place

    def _told_once(self, kind: str, reason: str) -> str:
        if kind in self._told:
            self._log.debug(f"no pose: {reason}")
        else:
            self._told.add(kind)
            self._log.info(f"no pose: {reason}")
        return reason
