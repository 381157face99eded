"""The client to await: several goals at once, and tasks that are cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest
from ros_support import PATIENCE, AgentProcess, Robot
from rsagent_ros.msg import Result

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Turn
from rsagent_ros.ros.client import Agent, AgentUnavailable, AsyncAgent

Start = Callable[..., AgentProcess]

IMAGE = np.full((48, 64, 3), 90, np.uint8)

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def here(domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a planner on the agent's domain."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))


def test_goals_are_awaited_at_once(start: Start) -> None:
    process = start("-p", "queue_policy:=queue")
    tools: list[str] = []

    async def plan() -> list[str]:
        async with AsyncAgent() as agent:
            await agent.wait_until_active(20)
            questions = [agent.segment("a mug", image=IMAGE, goal_id=str(number)) for number in range(5)]
            answers = [await agent.segment("a mug", image=IMAGE, on_turn=lambda turn: tools.append(turn.tool))]
            answers += await asyncio.gather(*questions)
            await agent.judge("3", True)
            return [answer.outcome for answer in answers]

    assert asyncio.run(plan()) == ["found"] * 6
    assert tools == ["segment", "finish"]
    process.wait_for("goal '3' ('a mug', found) was accepted by operator")


def test_a_cancelled_task_cancels_its_goal(robot: Robot, start: Start) -> None:
    start(script="hang")
    results = robot.listen(Result, "/agent/result")

    async def plan() -> None:
        async with AsyncAgent() as agent:
            begun = asyncio.Event()
            goal = asyncio.create_task(
                agent.segment("a mug", image=IMAGE, time_budget=300.0, on_turn=lambda turn: begun.set())
            )
            await begun.wait()
            goal.cancel()
            with pytest.raises(asyncio.CancelledError):
                await goal

    asyncio.run(plan())
    assert results.wait(1)[0].outcome == Result.CANCELED


def test_an_exception_of_the_planner_cancels_the_goal(robot: Robot, start: Start) -> None:
    start(script="slow")
    results = robot.listen(Result, "/agent/result")

    def object_to(turn: Turn) -> None:
        raise ValueError("not that way")

    async def plan() -> None:
        async with AsyncAgent() as agent:
            await agent.segment("a mug", image=IMAGE, time_budget=300.0, on_turn=object_to)

    with pytest.raises(ValueError, match="not that way"):
        asyncio.run(plan())
    assert results.wait(1)[0].outcome == Result.CANCELED


def test_many_goals_that_wait_keep_no_other_call_waiting() -> None:
    async def plan() -> list[bool]:
        async with AsyncAgent(wait=PATIENCE) as agent:
            goals = [asyncio.create_task(agent.segment("a mug")) for _ in range(40)]
            for _ in range(10):
                await asyncio.sleep(0)  # all of them have begun to wait
            with pytest.raises(AgentUnavailable, match="is not there"):
                await agent.wait_until_active(0.2)
            ended = [goal.done() for goal in goals]
            for goal in goals:
                goal.cancel()
            await asyncio.wait(goals)
            return ended

    assert asyncio.run(plan()) == [False] * 40


def test_nobody_there() -> None:
    async def plan() -> None:
        async with AsyncAgent("/left/agent", wait=0.5) as agent:
            await agent.segment("a mug")

    with pytest.raises(AgentUnavailable, match="no action server"):
        asyncio.run(plan())


def test_who_gives_up_before_the_agent_is_there_sends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def plan() -> float:
        async with AsyncAgent(wait=PATIENCE) as agent:
            begun = time.monotonic()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(agent.segment("a thing"), 0.2)
            return time.monotonic() - begun

    assert asyncio.run(plan()) < PATIENCE / 2
    assert "never retrieved" not in caplog.text


def test_a_goal_that_was_cancelled_before_it_was_sent_is_not_sent(start: Start) -> None:
    agent = start()
    cancel = CancelToken()
    cancel.set()
    with Agent() as client:
        assert client.segment("a thing", cancel=cancel).outcome is Outcome.CANCELED
        assert client.segment("another thing", image=IMAGE).outcome is Outcome.FOUND
    assert "'a thing'" not in agent.log
