"""`~/label_image` and `~/label_info`: one number for each object, and the class that all of them have."""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rsagent_ros.agent.mask import area
from rsagent_ros.ros.outputs.found_object import MAX_NUMBER, FoundObject
from rsagent_ros.ros.qos import latched

CLASS = "target"
"""The one class: instructions change, and layers are configured for fixed names."""

DEPTH = 10


class LabelImage:
    """Publishers of the image and, where vision_msgs is installed, of its latched LabelInfo."""

    def __init__(self, node: Node, vision_msgs: Any | None) -> None:
        """Create the publishers.

        Args:
            node: Its private topics are meant.
            vision_msgs: The module `vision_msgs.msg`; None where it is not installed.
        """
        self._messages = vision_msgs
        self._image = node.create_publisher(Image, "~/label_image", DEPTH)
        self._info = None
        self._numbers = 0
        if vision_msgs is not None:
            self._info = node.create_publisher(vision_msgs.LabelInfo, "~/label_info", latched(1))
            self._publish_info(MAX_NUMBER, Header())

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes to the image."""
        return bool(self._image.get_subscription_count())

    def publish(self, objects: Sequence[FoundObject], header: Header, size: tuple[int, int]) -> None:
        """Publish the image, if somebody subscribes; 0 everywhere where there are no objects.

        Args:
            objects: Of one image.
            header: Of that image.
            size: Its (height, width).
        """
        if not self.wanted:
            return
        numbers = label_array(objects, size)
        highest = int(numbers.max(initial=0))
        if highest > self._numbers:
            self._publish_info(highest, header)
        encoding = "mono8" if numbers.dtype == np.uint8 else "mono16"
        self._image.publish(
            Image(
                header=header,
                height=size[0],
                width=size[1],
                encoding=encoding,
                step=size[1] * numbers.itemsize,
                data=array.array("B", numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()),
            )
        )

    def _publish_info(self, highest: int, header: Header) -> None:
        """Name the class of every number up to the highest."""
        if self._info is None or self._messages is None:
            return
        classes = [self._messages.VisionClass(class_id=number, class_name=CLASS) for number in range(1, highest + 1)]
        self._info.publish(self._messages.LabelInfo(header=header, class_map=classes))
        self._numbers = highest


def label_array(objects: Sequence[FoundObject], size: tuple[int, int]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) numbers of the objects, 0 for none; of two that overlap the smaller one is on top.

    uint8, unless a number is above 255.
    """
    highest = max((one.number for one in objects), default=0)
    numbers = np.zeros(size, np.uint8 if highest <= MAX_NUMBER else np.uint16)
    for one in sorted(objects, key=lambda one: -area(one.mask)):
        numbers[one.mask] = one.number
    return numbers
