"""`~/detections` and `~/detections_3d`: what was found, as vision_msgs has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from std_msgs.msg import Header

from rsagent_ros.ros.outputs.found_object import FoundObject

DEPTH = 10


class Detections:
    """Publishers of both arrays."""

    def __init__(self, node: Node, vision_msgs: Any) -> None:
        """Create the publishers.

        Args:
            node: Its private topics are meant.
            vision_msgs: The module `vision_msgs.msg`, which is not installed everywhere.
        """
        self._messages = vision_msgs
        self._flat = node.create_publisher(vision_msgs.Detection2DArray, "~/detections", DEPTH)
        self._solid = node.create_publisher(vision_msgs.Detection3DArray, "~/detections_3d", DEPTH)

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._flat.get_subscription_count() or self._solid.get_subscription_count())

    def publish(self, objects: Sequence[FoundObject], header: Header) -> None:
        """Publish the objects of one image, to whoever subscribes; an empty array where there are none.

        Those without a pose are not in the array of 3-D detections, whose frame is that of the poses.
        """
        if self._flat.get_subscription_count():
            flat = [self._detection(one, header) for one in objects]
            self._flat.publish(self._messages.Detection2DArray(header=header, detections=flat))
        if self._solid.get_subscription_count():
            solid = [self._detection_3d(one, one.pose) for one in objects if one.pose is not None]
            frame = solid[0].header if solid else header
            self._solid.publish(self._messages.Detection3DArray(header=frame, detections=solid))

    def _detection(self, one: FoundObject, header: Header) -> Any:
        box = one.box
        detection = self._messages.Detection2D(header=header, results=[self._hypothesis(one)], id=one.object_id)
        detection.bbox.center.position.x = float(box.x0 + box.x1) / 2
        detection.bbox.center.position.y = float(box.y0 + box.y1) / 2
        detection.bbox.size_x, detection.bbox.size_y = float(box.x1 - box.x0), float(box.y1 - box.y0)
        return detection

    def _detection_3d(self, one: FoundObject, pose: PoseStamped) -> Any:
        detection = self._messages.Detection3D(header=pose.header, results=[self._hypothesis(one)], id=one.object_id)
        detection.bbox.center, detection.bbox.size = pose.pose, one.size
        return detection

    def _hypothesis(self, one: FoundObject) -> Any:
        hypothesis = self._messages.ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = one.label, one.confidence
        if one.pose is not None:
            hypothesis.pose.pose = one.pose.pose
        return hypothesis
