"""Collects standard outputs of an agent, and prints each message as one line of JSON: `subscriber.py TOPIC=TYPE...`.

A program of its own: the test's process has no vision_msgs.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

LATCHED = ("/agent/label_info",)
BULK = "data"


def as_json(value: Any) -> Any:
    """A message as a dictionary; pixels and points as hexadecimal digits."""
    if hasattr(value, "get_fields_and_field_types"):
        names = value.get_fields_and_field_types()
        return {
            name: bytes(getattr(value, name)).hex() if name == BULK else as_json(getattr(value, name)) for name in names
        }
    if isinstance(value, str | int | float | bool):
        return value
    return [as_json(one) for one in value]


def main() -> None:
    rclpy.init()
    node = Node("subscriber", enable_rosout=False)
    for argument in sys.argv[1:]:
        topic, kind = argument.split("=")
        package, name = kind.split("/")
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        if topic in LATCHED:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL

        def show(message: Any, topic: str = topic) -> None:
            sys.stdout.write(json.dumps({"topic": topic, "message": as_json(message)}) + "\n")
            sys.stdout.flush()

        node.create_subscription(getattr(importlib.import_module(f"{package}.msg"), name), topic, show, qos)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
