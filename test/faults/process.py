"""The agent's process is ended at random moments: asked to (SIGTERM), or killed (SIGKILL)."""

from __future__ import annotations

import random
import signal
import threading
import time

from faults.goal import Goal
from faults.matrix import Row, Setup
from faults.stage import Stage, square
from rsagent_ros.action import Segment

from rsagent_ros.ros.client import Agent, AgentUnavailable

ASKED, KILLED = Setup("asked to end"), Setup("killed", killed=True)
ASKED_TIMES, KILLED_TIMES = 3, 2
LEASE = 5.0
"""Seconds after which DDS misses who was killed: config/fastdds.xml."""

LATEST = 0.4
"""Seconds after a goal was accepted until the signal, at most: it has then taken its first turn."""


def asked_to_end(stage: Stage) -> None:
    """While one goal runs and another waits: all of them end as SHUTDOWN, and the exit code is 0."""
    chance = random.Random(1)
    for _ in range(ASKED_TIMES):
        stage.set(queue_policy="queue")
        for _ in range(chance.randrange(3)):
            stage.ask()
        goals = [stage.send("a thing [policy=slow]", 60.0), stage.send("a thing", 60.0)]
        time.sleep(chance.uniform(0.0, LATEST))
        for goal in goals:
            goal.due_now()
        assert stage.agent.stop(signal.SIGTERM) == 0
        for goal in goals:
            goal.wait()
        assert "Traceback" not in stage.agent.log
        stage.renew()


def killed(stage: Stage) -> None:
    """While a client waits: it is told so, also where launch has started another agent at once."""
    chance = random.Random(2)
    for time_of_it in range(KILLED_TIMES):
        for _ in range(chance.randrange(1, 4)):
            stage.ask()
        waiting = stage.expect(60.0)
        thread = threading.Thread(target=_wait_with_a_client, args=(stage, waiting))
        thread.start()
        stage.agent.wait_for(f"goal {waiting.id!r} by action")
        time.sleep(chance.uniform(0.0, LATEST))
        stage.agent.kick(signal.SIGKILL)
        waiting.due = time.monotonic() + LEASE
        assert stage.agent.exit_code() == -signal.SIGKILL
        if time_of_it == 0:
            stage.start_again()
        thread.join()
        stage.renew()


def _wait_with_a_client(stage: Stage, goal: Goal) -> None:
    with Agent(node=stage.robot.node) as client:
        request = Segment.Goal(id=goal.id, instruction="a thing [policy=slow]", image=square(), time_budget=60.0)
        try:
            client.send(request)
        except AgentUnavailable:
            goal.miss("client: AgentUnavailable")


ROWS = (
    Row("SIGTERM at random moments", asked_to_end, ("SHUTDOWN",), ("FOUND",), setup=ASKED),
    Row(
        "SIGKILL at random moments",
        killed,
        ("FOUND", "client: AgentUnavailable"),
        setup=KILLED,
        records="one",
        note="due when DDS misses the agent: 5 s",
    ),
)
