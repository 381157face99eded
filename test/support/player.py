"""Plays a bag's messages over DDS, as `ros2 bag play --clock` does, but one at a time and as fast as they are taken."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_support import until
from rosgraph_msgs.msg import Clock

from rsagent_ros.records.bag import Bag, BagMessage

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


def play(bag: Path, node: Node, topics: set[str], sent: Callable[[BagMessage], None]) -> None:
    """Publish the messages on these topics, each as it was logged, with the time on /clock.

    Args:
        bag: To play.
        node: That publishes.
        topics: Of the bag; somebody must listen to each.
        sent: Called after each message; the next one waits for it.
    """
    clock = node.create_publisher(Clock, "/clock", RELIABLE)
    with Bag(bag) as opened:
        kinds = {message.topic: message.type for message in opened.messages() if message.topic in topics}
        publishers = {topic: node.create_publisher(_class(kind), topic, RELIABLE) for topic, kind in kinds.items()}
        until(lambda: all(publisher.get_subscription_count() for publisher in (clock, *publishers.values())))
        for message in opened.messages(lambda topic, kind: topic in topics):
            clock.publish(Clock(clock=Time(sec=message.time // 10**9, nanosec=message.time % 10**9)))
            publishers[message.topic].publish(message.data)
            sent(message)


def _class(kind: str) -> Any:
    package, _, name = kind.split("/")
    return getattr(import_module(f"{package}.msg"), name)
