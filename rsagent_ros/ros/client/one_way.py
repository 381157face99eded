"""`OneWayPublisher`: messages that a client sends to its agent by topic."""

from __future__ import annotations

import threading
import time
from typing import Any

from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from rsagent_ros.ros.client.action_client import AgentUnavailable

POLL = 0.01
"""Seconds between checks whether somebody subscribes."""

QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""Depth 1: with a full history Fast DDS asks for the acknowledgement with each message, else every 3 s only."""


class OneWayPublisher:
    """Publisher that waits for a subscriber. For one thread at a time, except `send`, which is thread-safe.

    A message must have arrived before the next is published: the history holds one.
    """

    def __init__(self, node: Node, kind: type, topic: str) -> None:
        """Create the publisher."""
        self._node = node
        self._sending = threading.Lock()
        # Without event handlers: those can't be destroyed while another thread waits for them.
        handlers = PublisherEventCallbacks(use_default_callbacks=False)
        self._publisher = node.create_publisher(kind, topic, QOS, event_callbacks=handlers)
        self.topic: str = self._publisher.topic_name

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)

    def publish(self, message: Any, seconds: float) -> None:
        """Publish a message; blocks until somebody subscribes.

        Raises:
            AgentUnavailable: Nobody does within that time.
        """
        until = time.monotonic() + seconds
        while not self._publisher.get_subscription_count():
            if time.monotonic() >= until:
                raise AgentUnavailable(f"nobody subscribes to {self.topic} after {seconds:g} s")
            time.sleep(POLL)
        self._publisher.publish(message)

    def send(self, message: Any, seconds: float) -> None:
        """Publish a message; blocks until it has arrived, which takes milliseconds.

        Raises:
            AgentUnavailable: It has not within that time.
        """
        with self._sending:
            self.publish(message, seconds)
            if not self._publisher.wait_for_all_acked(Duration(seconds=seconds)):
                raise AgentUnavailable(f"a message on {self.topic} did not arrive within {seconds:g} s")
