"""`StandardOutputs`: all the standard messages about what was found in one image. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import ModuleType
from typing import cast

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node

from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.outputs.detections import Detections
from rsagent_ros.ros.outputs.found_object import FoundObject
from rsagent_ros.ros.outputs.label_image import LabelImage
from rsagent_ros.ros.outputs.label_points import LabelPoints
from rsagent_ros.ros.outputs.markers import Markers
from rsagent_ros.ros.outputs.object_frames import ObjectFrames


class StandardOutputs:
    """The publishers of `rsagent_ros.ros.outputs`.

    Attributes:
        frames: tf frames of tracked objects.
    """

    def __init__(self, node: Node) -> None:
        """Create the publishers. Where vision_msgs is missing, the node says once what it does not publish."""
        self._lock = threading.Lock()
        vision_msgs = _vision_msgs(node.get_logger())
        self._detections = None if vision_msgs is None else Detections(node, vision_msgs)
        self._labels = LabelImage(node, vision_msgs)
        self._points = LabelPoints(node)
        self._markers = Markers(node)
        self.frames = ObjectFrames(node)

    @property
    def wanted(self) -> bool:
        """Whether somebody listens to any of them."""
        parts = (self._detections, self._labels, self._points, self._markers, self.frames)
        return any(part is not None and part.wanted for part in parts)

    def publish(self, objects: Sequence[FoundObject], frame: Frame) -> None:
        """Publish the objects that are seen in a frame; what nobody listens to is not made."""
        height, width = frame.rgb.shape[:2]
        with self._lock:
            if self._detections is not None:
                self._detections.publish(objects, frame.header)
            self._labels.publish(objects, frame.header, (height, width))
            self._points.publish(objects, frame)
            self._markers.publish(objects, frame.header)
            self.frames.publish(objects)


def _vision_msgs(logger: RcutilsLogger) -> ModuleType | None:
    try:
        from vision_msgs import msg  # comes with ROS from apt, and is in no registry of Python packages
    except ImportError as error:
        logger.info(f"~/detections, ~/detections_3d and ~/label_info are not published, as {error}")
        return None
    return cast(ModuleType, msg)
