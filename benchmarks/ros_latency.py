"""The node from outside, over DDS: how long a goal takes, and what a node costs that has none.

A camera process publishes 1920x1080 rgb8 at 30 Hz. For the time of a goal, the node has instant models, is in a process
of its own, and subscribes to the camera when the goal comes (`on_demand`): the wait for the first frame is part of the
time. For CPU and memory the node is the real program with the embedded default.

    python benchmarks/ros_latency.py camera | agent      what runs in the other processes
"""

from __future__ import annotations

import array
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from entry import Entry, at_most, missing, not_here, reported
from turn_overhead import HEIGHT, MIDDLE, THOUGHT, WIDTH, InstantSegmenter

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.policy import Reply, ReplyLimits

if TYPE_CHECKING:  # imported when they are needed, so that their absence can be told
    import psutil

    from rsagent_ros.ros.client import Agent

ROOT = Path(__file__).resolve().parents[1]
REAL_AGENT = [str(ROOT / "scripts/agent_node")]
INSTANT_AGENT = [__file__, "agent"]
CAMERA = [__file__, "camera"]

FPS = 30
GOALS = 30
IDLE_SECONDS = 15.0
LIMIT_LATENCY_MS, LIMIT_IDLE_PERCENT, LIMIT_RSS_MB = 250.0, 2.0, 160.0
START_SECONDS = 60.0

SCRIPT = (THOUGHT + render(Segment(MIDDLE)), THOUGHT + render(Finish((1,))))


def run() -> list[Entry]:
    """Measure; about a minute and a half."""
    if lacking := missing("psutil", "rclpy", "rsagent_ros.action"):
        return [not_here("node over DDS", f"{lacking}: run `make setup`, then `source environment/activate`")]
    os.environ["ROS_DOMAIN_ID"] = str(os.getpid() % 80)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with program(CAMERA, "publishing"):
        return [*_latency(), *_idle()]


def _latency() -> list[Entry]:
    from rsagent_ros.ros.client import Agent

    rows: list[dict[str, float]] = []
    with program(INSTANT_AGENT, "ready: "), Agent() as agent:
        until = time.monotonic() + START_SECONDS
        while (answer := agent.segment("the red mug")).outcome != "found":  # DDS takes seconds until all know of all
            if time.monotonic() > until:
                raise RuntimeError(f"no goal can be reached: {answer.error_msg}")
        for number in range(GOALS):
            time.sleep(0.2 + number % 7 / 7 / FPS)  # another moment between two frames each time
            rows.append(_stages(agent))
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    total = medians.pop("total")
    note = ", ".join(f"{name} {value:.0f}" for name, value in medians.items())
    return [
        at_most("action goal to result, median", total, "ms", LIMIT_LATENCY_MS, note),
        reported("action goal to result, slowest", max(row["total"] for row in rows), "ms", f"of {GOALS} goals"),
    ]


def _stages(agent: Agent) -> dict[str, float]:
    """Send one goal; milliseconds of it all and of its parts."""
    turns: list[float] = []
    begun = time.perf_counter()
    answer = agent.segment("the red mug", on_turn=lambda _: turns.append(time.perf_counter()))
    total = time.perf_counter() - begun
    if answer.outcome != "found" or not turns:
        raise RuntimeError(f"the benchmark's goal ended as {answer.outcome}: {answer.error_msg}")
    timings = answer.message.timings
    work = timings.policy + timings.tools
    seconds = {
        "total": total,
        "wait for the frame": timings.frame,
        "models and tools": work,
        "rest in the node": timings.total - timings.frame - work,
        "DDS and client": total - timings.total,
        "first turn seen after": turns[0] - begun,
    }
    return {name: value * 1000 for name, value in seconds.items()}


def _idle() -> list[Entry]:
    cpu, rss = {}, {}
    for mode, subscribers in (("on_demand", 0), ("always", 1)):
        with program([*REAL_AGENT, "--ros-args", "-p", f"camera_mode:={mode}"], "ready: ") as process:
            time.sleep(3.0)  # discovery, and what the start has left to do
            _check_subscribers(subscribers)
            before = process.cpu_times()
            begun = time.perf_counter()
            time.sleep(IDLE_SECONDS)
            after = process.cpu_times()
            seconds = after.user + after.system - before.user - before.system
            cpu[mode] = 100 * seconds / (time.perf_counter() - begun)
            rss[mode] = process.memory_info().rss / 1e6
    camera = f"{WIDTH}x{HEIGHT} at {FPS} Hz on the graph, no goal"
    return [
        at_most("idle node, on_demand: CPU", cpu["on_demand"], "% of a core", LIMIT_IDLE_PERCENT, camera),
        reported("idle node, always: CPU", cpu["always"], "% of a core", f"{camera}; every frame is taken and kept"),
        at_most("idle node, on_demand: resident memory", rss["on_demand"], "MB", LIMIT_RSS_MB, "embedded default"),
        reported("idle node, always: resident memory", rss["always"], "MB", "with the ring of frames"),
    ]


def _check_subscribers(expected: int) -> None:
    """A node that does not hear the camera would look cheap."""
    import rclpy

    rclpy.init()
    node = rclpy.create_node("benchmark", enable_rosout=False)
    try:
        until = time.monotonic() + START_SECONDS
        while node.count_publishers("/image") != 1 or node.count_subscribers("/image") != expected:
            if time.monotonic() > until:
                raise RuntimeError(f"/image has {node.count_subscribers('/image')} subscribers, not {expected}")
            time.sleep(0.1)
    finally:
        node.destroy_node()
        rclpy.shutdown()


@contextmanager
def program(command: Sequence[str], ready: str) -> Iterator[psutil.Process]:
    """A Python program in a process of its own, from the moment it has printed `ready`."""
    import psutil

    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen([sys.executable, *command], stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until(lambda: ready in _content(log.fileno()), child, lambda: _content(log.fileno()))
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _content(descriptor: int) -> str:
    return os.pread(descriptor, 1_000_000, 0).decode(errors="replace")


def _wait_until(done: Callable[[], bool], child: subprocess.Popen[bytes], log: Callable[[], str]) -> None:
    until = time.monotonic() + START_SECONDS
    while not done():
        if child.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the program did not start:\n{log()}")
        time.sleep(0.05)


# The other processes -------------------------------------------------------------------------------------------------


class InstantPolicy:
    """Says the same two calls in every conversation, at once."""

    name = "instant"
    pictures = DEFAULT_PICTURES

    def open(self) -> InstantConversation:
        """Begin with the first call."""
        return InstantConversation()


class InstantConversation:
    """One run through the two calls."""

    def __init__(self) -> None:
        self._replies = iter(SCRIPT)

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """The next call."""
        return Reply(next(self._replies))

    def close(self) -> None:
        """Nothing to free."""


def _agent() -> int:
    from rsagent_ros.backends import Models
    from rsagent_ros.ros.program import run as run_node

    return run_node(sys.argv[2:], load=lambda _: Models(InstantPolicy(), InstantSegmenter()))


def _camera() -> int:
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("camera", enable_rosout=False)
    publisher = node.create_publisher(Image, "/image", qos_profile_sensor_data)
    message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
    message.header.frame_id = "camera_optical_frame"
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    message.data = array.array("B", pixels.tobytes())
    print("publishing", flush=True)
    due = time.monotonic()
    while rclpy.ok():
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        due += 1 / FPS
        time.sleep(max(0.0, due - time.monotonic()))
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit({"agent": _agent, "camera": _camera}[sys.argv[1]]())
