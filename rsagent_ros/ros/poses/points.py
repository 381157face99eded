"""Points of a thing's surface as a PointCloud2."""

from __future__ import annotations

import array
import sys
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from rsagent_ros.pose3d import Place

_POINT = np.dtype({"names": ["xyz", "rgb"], "formats": [("f4", 3), "u4"], "offsets": [0, 12], "itemsize": 16})


def points_message(places: Sequence[Place], header: Header) -> PointCloud2:
    """The visible surfaces of all places together: x, y, z in metres, optical frame, and rgb packed as PCL does it.

    Args:
        places: Those without colours are grey.
        header: Of the image that they were seen in.
    """
    points = np.zeros(sum(len(place.points) for place in places), _POINT)
    if places:
        points["xyz"] = np.concatenate([place.points for place in places])
        grey = [
            np.full(place.points.shape, 128, np.uint8) if place.colours is None else place.colours for place in places
        ]
        red, green, blue = np.concatenate(grey).astype(np.uint32).T
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
