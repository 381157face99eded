"""`StatusText`: the newest sentence of an agent's `~/status`."""

from __future__ import annotations

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from std_msgs.msg import String

from rsagent_ros.ros.qos import latched


class StatusText:
    """Subscription that keeps the last sentence.

    Attributes:
        newest: The sentence; empty before the first.
    """

    def __init__(self, node: Node, agent: str) -> None:
        """Subscribe; the node has to be spun in another thread."""
        self.newest = ""
        # Without event handlers: those can't be destroyed while another thread waits for them.
        handlers = SubscriptionEventCallbacks(use_default_callbacks=False)
        node.create_subscription(String, f"{agent}/status", self._receive, latched(1), event_callbacks=handlers)

    def _receive(self, message: String) -> None:
        self.newest = str(message.data)
