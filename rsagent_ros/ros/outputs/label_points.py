"""`~/label_points`: the points of objects, pixel by pixel, for costmap layers that hold them beside a mask."""

from __future__ import annotations

import array
import sys
from collections.abc import Sequence

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2, PointField

from rsagent_ros.records.message_fields import camera_of
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.outputs.found_object import FoundObject

DEPTH = 2


class LabelPoints:
    """Publisher of an organised cloud of the image's size; x, y, z in metres, optical frame, NaN off the objects."""

    def __init__(self, node: Node) -> None:
        """Create the publisher; the node's private topic is meant."""
        self._publisher = node.create_publisher(PointCloud2, "~/label_points", DEPTH)

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._publisher.get_subscription_count())

    def publish(self, objects: Sequence[FoundObject], frame: Frame) -> None:
        """Publish the points of objects in a frame, if somebody subscribes and the frame has depth and calibration."""
        camera = None if frame.camera_info is None else camera_of(frame.camera_info)
        if not self.wanted or frame.depth is None or camera is None:
            return
        height, width = frame.depth.shape
        points = np.full((height, width, 3), np.nan, np.float32)
        covered = np.zeros((height, width), np.bool_)
        for one in objects:
            covered |= one.mask
        rows, columns = np.nonzero(covered & np.isfinite(frame.depth))
        z = frame.depth[rows, columns]
        points[rows, columns, 0] = (columns - camera.cx) / camera.fx * z
        points[rows, columns, 1] = (rows - camera.cy) / camera.fy * z
        points[rows, columns, 2] = z
        step = points.itemsize
        self._publisher.publish(
            PointCloud2(
                header=frame.header,
                height=height,
                width=width,
                fields=[
                    PointField(name=name, offset=step * number, datatype=PointField.FLOAT32, count=1)
                    for number, name in enumerate("xyz")
                ],
                is_bigendian=sys.byteorder == "big",
                point_step=3 * step,
                row_step=3 * step * width,
                data=array.array("B", points.tobytes()),
                is_dense=False,
            )
        )
