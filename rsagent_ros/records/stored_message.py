"""A message as it stands in a file, and the names of types in their one form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Wanted: TypeAlias = Callable[[str, str], bool]
"""Whether messages of a topic and type are wanted."""


@dataclass(frozen=True, eq=False)
class StoredMessage:
    """A message as it stands in the file.

    Attributes:
        topic, type: As ROS names them; the type is empty where the data is not CDR.
        encoding, definition: Of its schema; `ros2msg` or `ros2idl`.
        time: When it was logged, nanoseconds.
        data: CDR.
    """

    topic: str
    type: str
    encoding: str
    definition: str
    time: int
    data: bytes


def type_name(name: str) -> str:
    """A message type as ROS 2 names it, `sensor_msgs/msg/Image`.

    The first releases of rosbag2, and some writers today, leave `msg` out; DDS has `sensor_msgs::msg::dds_::Image_`.
    """
    if "::" in name:
        name = re.sub(r"dds_::(\w+)_\Z", r"\1", name).replace("::", "/")
    parts = name.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else name
