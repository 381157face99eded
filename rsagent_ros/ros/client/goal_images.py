"""`GoalImages`: the images that goals looked at, for a client that shows or saves them."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from sensor_msgs.msg import Image

from rsagent_ros.ros.camera.images import to_rgb
from rsagent_ros.ros.client.answer import Answer

IMAGE_SECONDS = 5.0
"""Longest wait for the image of an answer that is there already."""


class GoalImages:
    """Subscription to `~/goal_image` that keeps the newest image. Thread-safe."""

    def __init__(self, node: Node, agent: str) -> None:
        """Subscribe; the node has to be spun in another thread.

        Made before the client of the same agent, it misses no image: endpoints become known in the order that they were
        made in, and an agent that has answered the client knows this subscription.
        """
        self._change = threading.Condition()
        self._newest: Image | None = None
        # Without event handlers: those can't be destroyed while another thread waits for them.
        handlers = SubscriptionEventCallbacks(use_default_callbacks=False)
        node.create_subscription(Image, f"{agent}/goal_image", self._receive, 1, event_callbacks=handlers)

    def wait_for(self, answer: Answer) -> NDArray[np.uint8] | None:
        """The (H, W, 3) uint8 RGB image that the answer is about; None when it does not come. Blocks until then."""
        with self._change:
            self._change.wait_for(lambda: self._is_of(answer), IMAGE_SECONDS)
            return to_rgb(self._newest) if self._newest is not None and self._is_of(answer) else None

    def _is_of(self, answer: Answer) -> bool:
        return self._newest is not None and self._newest.header == answer.header

    def _receive(self, image: Image) -> None:
        with self._change:
            self._newest = image
            self._change.notify_all()
