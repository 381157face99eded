"""Surface points of objects as a sensor_msgs/PointCloud2."""

from __future__ import annotations

import array
import sys
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from rsagent_ros.pose3d import Pose3d

_POINT = np.dtype({"names": ["xyz", "rgb"], "formats": [("f4", 3), "u4"], "offsets": [0, 12], "itemsize": 16})


def point_cloud(poses: Sequence[Pose3d], header: Header) -> PointCloud2:
    """The visible surfaces of all objects: x, y, z in metres, optical frame, and rgb packed as PCL does it.

    Args:
        poses: Objects; those without colours are grey.
        header: Of the image that they were seen in.
    """
    points = np.zeros(sum(len(pose.points) for pose in poses), _POINT)
    if poses:
        points["xyz"] = np.concatenate([pose.points for pose in poses])
        colours = [
            np.full(pose.points.shape, 128, np.uint8) if pose.colours is None else pose.colours for pose in poses
        ]
        red, green, blue = np.concatenate(colours).astype(np.uint32).T
        points["rgb"] = (red << 16) | (green << 8) | blue
    fields = [
        PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
        for name, offset in (("x", 0), ("y", 4), ("z", 8), ("rgb", 12))
    ]
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=sys.byteorder == "big",
        point_step=_POINT.itemsize,
        row_step=points.nbytes,
        data=array.array("B", points.tobytes()),
        is_dense=True,
    )
