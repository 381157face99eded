"""Seconds that a cancel takes, over DDS, while the policy hangs in a call that heeds neither cancel nor deadline.

python benchmarks/cancel.py agent      what runs in the other process
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
from entry import Entry, at_most, missing, not_here, reported
from ros_latency import START_SECONDS, program
from turn_overhead import InstantSegmenter

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.policy import Reply, ReplyLimits

if TYPE_CHECKING:  # imported when it is needed, so that its absence can be told
    from rsagent_ros.ros.client import Agent

GOALS = 100
HANG = 0.5
"""Seconds of a reply. It has to come back: goals are refused while a model hangs in the one before."""

LATEST = 0.3
"""Seconds after its beginning at which a goal is cancelled, at most: its policy hangs then."""

LIMIT_SECONDS = 0.5


def run() -> list[Entry]:
    """Measure; about a minute and a half."""
    if lacking := missing("rclpy", "rsagent_ros.action"):
        return [not_here("cancel over DDS", f"{lacking}: run `make setup`, then `source environment/activate`")]
    from rsagent_ros.ros.client import Agent

    os.environ["ROS_DOMAIN_ID"] = str(os.getpid() % 80)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with program([__file__, "agent"], "ready: "), Agent() as agent:
        agent.wait_until_active(START_SECONDS)
        seconds = sorted(_canceled(agent, LATEST * (1 + number % 10) / 10) for number in range(GOALS))
    return [
        at_most("cancel to CANCELED, policy hangs, p99", seconds[round(0.99 * GOALS) - 1], "s", LIMIT_SECONDS),
        reported("cancel to CANCELED, policy hangs, median", statistics.median(seconds), "s", f"of {GOALS} goals"),
    ]


def _canceled(agent: Agent, after: float) -> float:
    """Send a goal and cancel it so many seconds later; seconds from the cancel to the answer."""
    cancel = CancelToken()
    moments: list[float] = []

    def stop() -> None:
        moments.append(time.perf_counter())
        cancel.set()

    timer = threading.Timer(after, stop)
    timer.start()
    answer = agent.segment("the red mug", image=np.zeros((48, 64, 3), np.uint8), cancel=cancel)
    ended = time.perf_counter()
    timer.join()
    if answer.outcome != "canceled":
        raise RuntimeError(f"the benchmark's goal ended as {answer.outcome}: {answer.error_msg}")
    return ended - moments[0]


class DeafPolicy:
    """Takes HANG seconds for a reply, whatever happens."""

    name = "deaf"
    pictures = DEFAULT_PICTURES

    def open(self) -> DeafPolicy:
        """Nothing is kept."""
        return self

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """Hang, and then say nothing that could be used."""
        time.sleep(HANG)
        return Reply("")

    def close(self) -> None:
        """Nothing to free."""


def _agent() -> int:
    from rsagent_ros.backends import Models
    from rsagent_ros.ros.program import run as run_node

    return run_node(
        [*sys.argv[2:], "--ros-args", "-p", "warm_up:=false"], load=lambda _: Models(DeafPolicy(), InstantSegmenter())
    )


if __name__ == "__main__":
    sys.exit(_agent())
