#!/usr/bin/env python3
"""Records topics into a rosbag2 bag (MCAP), for ROS without `ros2 bag`: from wheels, for example.

    python examples/record_bag.py out/bag                             # until Ctrl-C
    python examples/record_bag.py out/bag --seconds 10 --topic /camera/image --topic /agent/goal

Without --topic it takes what `rsagent replay` reads: images, calibrations, goals and results, from whoever publishes or
takes them, as soon as they are there. SIGINT and SIGTERM close the bag; exit code 1 when nothing was recorded.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer

from rsagent_ros.records.bag_index import matters
from rsagent_ros.records.interfaces import typestore

LOOK = 0.2
"""Seconds between looks for new topics."""


class Recorder(Node):
    """Subscribes to topics as they appear, and writes their messages as they come: the CDR, not decoded."""

    def __init__(self, writer: Writer, topics: list[str]) -> None:
        super().__init__("record_bag")
        self._writer = writer
        self._topics = topics
        self._known: set[str] = set()
        self.counts: Counter[str] = Counter()

    def look(self) -> None:
        """Subscribe to what has appeared."""
        for topic, (kind, *_) in self.get_topic_names_and_types():
            if topic in self._known or not (topic in self._topics if self._topics else matters(topic, kind)):
                continue
            if kind not in typestore().fielddefs:
                self.get_logger().error(f"{topic} is of {kind}, which is neither of ROS nor ours: it is left out")
                self._known.add(topic)
                continue
            self._known.add(topic)
            connection = self._writer.add_connection(topic, kind, typestore=typestore())
            package, _, name = kind.split("/")
            write = partial(self._write, connection)
            self.create_subscription(
                getattr(import_module(f"{package}.msg"), name), topic, write, self._qos(topic), raw=True
            )
            self.get_logger().info(f"recording {topic}")

    def _qos(self, topic: str) -> QoSProfile:
        """Reliable, unless a publisher is not: cameras often are best effort."""
        publishers = self.get_publishers_info_by_topic(topic)
        careless = any(one.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for one in publishers)
        return QoSProfile(
            depth=100, reliability=ReliabilityPolicy.BEST_EFFORT if careless else ReliabilityPolicy.RELIABLE
        )

    def _write(self, connection: Connection, data: Any) -> None:
        self._writer.write(connection, self.get_clock().now().nanoseconds, bytes(data))
        self.counts[connection.topic] += 1


def main() -> int:
    """Records until a signal or the time is over; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path, help="folder to make")
    parser.add_argument("--topic", action="append", default=[], help="repeatable")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="default: until a signal")
    arguments = parser.parse_args()
    if arguments.bag.exists():
        parser.error(f"{arguments.bag} exists already, not overwriting")
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    end, due = time.monotonic() + arguments.seconds, 0.0
    with Writer(arguments.bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        node = Recorder(writer, arguments.topic)
        while not stop and time.monotonic() < end:
            if time.monotonic() >= due:
                node.look()
                due = time.monotonic() + LOOK
            rclpy.spin_once(node, timeout_sec=LOOK / 4)
        end = time.monotonic() + LOOK
        while time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=LOOK / 4)  # what has been sent by now is still on its way
    counts = node.counts
    node.destroy_node()
    rclpy.shutdown()
    print(
        f"{arguments.bag}: " + (", ".join(f"{count} on {topic}" for topic, count in sorted(counts.items())) or "empty")
    )
    return 0 if counts else 1


if __name__ == "__main__":
    sys.exit(main())
