"""`Connection`: what a client has in the ROS graph, from `with` to its end."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from std_msgs.msg import String

from rsagent_ros.ros.client.action_client import SafeActionClient
from rsagent_ros.ros.client.one_way import OneWayPublisher
from rsagent_ros.ros.client.own_node import own_node
from rsagent_ros.ros.client.tracked import TrackedMasks
from rsagent_ros.ros.client.verdict_client import VerdictClient


class Connection:
    """Endpoints for one agent. Thread-safe.

    Attributes:
        node: The one that was given, or one of its own.
        actions: Client of `~/segment`.
        lifecycle: Client of `~/get_state`.
        verdicts: Sends to `~/verdict`.
        stops: Publishes on `~/stop_tracking`.
    """

    def __init__(self, agent: str, node: Node | None) -> None:
        """Create the endpoints.

        Args:
            agent: Name of the agent's node.
            node: Whose executor is spun in another thread; None: a node with a context and thread of its own.
        """
        self._agent = agent
        self._lock = threading.Lock()
        self._tracked: TrackedMasks | None = None
        with ExitStack() as stack:
            self.node = own_node(stack) if node is None else node
            self.actions = SafeActionClient(self.node, f"{agent}/segment")
            stack.callback(self.actions.destroy)
            self.lifecycle = self.node.create_client(GetState, f"{agent}/get_state")
            stack.callback(self.node.destroy_client, self.lifecycle)
            self.verdicts = VerdictClient(self.node, agent)
            stack.callback(self.verdicts.close)
            self.stops = OneWayPublisher(self.node, String, f"{agent}/stop_tracking")
            stack.callback(self.stops.close)
            self._resources = stack.pop_all()

    def tracked(self) -> TrackedMasks:
        """The subscription to tracked masks; made when it is first needed."""
        with self._lock:
            if self._tracked is None:
                self._tracked = TrackedMasks(self.node, f"{self._agent}/tracked_mask")
                self._resources.callback(self._tracked.close)
            return self._tracked

    def close(self) -> None:
        """Leave the graph. Idempotent."""
        self._resources.close()
