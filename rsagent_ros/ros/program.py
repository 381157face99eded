"""The program that runs the agent's node: signals, threads of the executor, and the exit code."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence

import rclpy
from rclpy.action.server import RCLError
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import MultiThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from rsagent_ros.ros.agent_node import AgentNode
from rsagent_ros.ros.goals.worker import WORKER
from rsagent_ros.ros.logging_bridge import bridged
from rsagent_ros.ros.models import LOADER, Load, load_models
from rsagent_ros.ros.tracking.tracking import TRACKING

THREADS = 7
"""Threads of the executor: one transition, one promotion and two goals (one ends as the next begins) block one each."""

LINGER = 0.25
"""Seconds between the end of the last goal and that of the node: rclpy can't tell when a result has arrived."""

EXIT_USAGE, EXIT_HANG = 2, 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown transition; returns the exit code.

    0: it was asked to end. 2: bad arguments or parameters. 75: a model hung longer than restart_on_hang.
    """
    return run(argv)


def run(argv: Sequence[str] | None = None, load: Load = load_models) -> int:
    """`main` with models of one's own."""
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The handler interrupts the main thread wherever it is: it may not take a lock, as setting an Event would.
        signal.signal(number, lambda number, frame: signals.put(number))
    try:
        # rclpy's own handlers would close every publisher at once, and the running goal could not be answered any more.
        rclpy.init(args=None if argv is None else list(argv), signal_handler_options=SignalHandlerOptions.NO)
        node = AgentNode(load, stopping=lambda: not signals.empty())
    except (ValueError, RCLError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        rclpy.logging.get_logger("agent").fatal(str(error))
        rclpy.try_shutdown()
        return EXIT_USAGE
    with bridged(node.get_logger()):
        return _run(node, signals)


def _run(node: AgentNode, signals: queue.SimpleQueue[int]) -> int:
    """Spin the node until it ends; returns the exit code."""
    executor = MultiThreadedExecutor(THREADS)
    executor.add_node(node)
    over = threading.Event()
    spinner = threading.Thread(target=_spin, args=(executor, over, node), name="executor", daemon=True)
    spinner.start()
    if node.parameters.autostart:
        node.start()
    code = 0
    while not node.finalized:
        with contextlib.suppress(queue.Empty):
            signals.get(timeout=0.5)
            break
        limit = node.parameters.restart_on_hang
        if limit and node.overdue > limit:
            node.get_logger().fatal(f"a model has hung for {node.overdue:.1f} s: ending with exit code {EXIT_HANG}")
            code = EXIT_HANG
            break
    node.finish()
    time.sleep(max(0.0, node.last_end + LINGER - time.monotonic()))
    over.set()
    executor.create_task(over.is_set)  # something to do, so that the spinner looks up
    spinner.join(timeout=1.0)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    if any(thread.name in (WORKER, LOADER, TRACKING) for thread in threading.enumerate()):
        os._exit(code)  # a model that hangs in native code can bring the interpreter down on its way out
    return code


def _spin(executor: MultiThreadedExecutor, over: threading.Event, node: AgentNode) -> None:
    while not over.is_set():
        try:
            executor.spin_once()
        except Exception:  # one bad callback must not end the node
            if not over.is_set():
                node.get_logger().error(
                    f"a callback failed, which is a defect; please report this:\n{traceback.format_exc()}"
                )


if __name__ == "__main__":
    sys.exit(main())
