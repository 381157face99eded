"""Node for a program that has none, with a context and thread of its own; nothing of it is left afterwards."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node


def own_node(stack: ExitStack) -> Node:
    """Create a node with a context and a thread of its own; they end with the stack."""
    context = Context()
    rclpy.init(context=context)
    stack.callback(context.try_shutdown)
    node = Node(f"agent_client_{time.time_ns() % 1_000_000_000}", context=context, enable_rosout=False)
    stack.callback(node.destroy_node)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    over = threading.Event()

    def spin() -> None:
        try:
            while not over.is_set():
                executor.spin_once()
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin, name="agent client", daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        executor.create_task(over.is_set)  # something to do, so that the thread looks up
        thread.join(timeout=2.0)
        executor.shutdown()

    stack.callback(end)
    return node
