"""`rsagent mcp` against a node, as the SDK's own client sees it."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest
from mcp import Client
from mcp_calls import facts, pixels, text, told, with_client
from ros_support import AgentProcess, Robot, picture
from rsagent_ros.msg import Result, Turn

Start = Callable[..., AgentProcess]


def test_a_robot_is_asked(domain: int, robot: Robot, start: Start) -> None:
    process = start()
    robot.camera(picture())

    async def talk(client: Client) -> None:
        status = (await client.call_tool("status", {})).structured_content
        assert status is not None
        assert (status["agent"], status["state"]) == ("/agent", "active")
        found = await client.call_tool("ask", {"instruction": "the red mug"})
        answer = facts(found)
        assert (answer["outcome"], answer["frame_id"]) == ("found", "camera")
        assert answer["objects"][0]["box"] == [16, 12, 48, 36]
        assert pixels(found).shape == (48, 64, 3)
        status = (await client.call_tool("status", {})).structured_content
        assert status is not None
        assert "found, confidence" in status["last_event"]
        judged = await client.call_tool("judge", {"goal_id": answer["goal_id"], "right": False, "note": "the other"})
        assert not judged.is_error
        refused = await client.call_tool("judge", {"goal_id": "nobody's", "right": True})
        assert 'no goal "nobody\'s" among the last' in told(refused)

    with_client(talk, "--allow-writes", ROS_DOMAIN_ID=str(domain))
    process.wait_for("was rejected by planner: 'the other'")


def test_a_question_of_the_robot_is_answered(domain: int, robot: Robot, start: Start) -> None:
    start(script="ambiguous")
    robot.camera(picture())

    async def talk(client: Client) -> None:
        asked = facts(await client.call_tool("ask", {"instruction": "the mug"}))
        assert asked["question"] == "the left one or the one in the middle?"
        assert len(asked["objects"]) == 2
        again = facts(await client.call_tool("follow_up", {"goal_id": asked["goal_id"], "answer": "the left one"}))
        assert (again["outcome"], again["error_code"]) == ("ambiguous", "NONE")

    with_client(talk, ROS_DOMAIN_ID=str(domain))


def test_a_request_that_is_canceled_cancels_its_goal(domain: int, robot: Robot, start: Start) -> None:
    start("-p", "time_budget:=300.0", script="hang")
    results = robot.listen(Result, "/agent/result")
    turns = robot.listen(Turn, "/agent/trace")
    robot.camera(picture())

    async def talk(client: Client) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "ask", {"instruction": "the red mug"})
            await anyio.to_thread.run_sync(turns.wait)
            group.cancel_scope.cancel()
        assert (await anyio.to_thread.run_sync(results.wait))[0].outcome == Result.CANCELED

    with_client(talk, ROS_DOMAIN_ID=str(domain))


@pytest.mark.parametrize("tool", ["status", "ask"])
def test_no_robot_is_told(domain: int, tool: str) -> None:
    async def talk(client: Client) -> None:
        result = await client.call_tool(tool, {} if tool == "status" else {"instruction": "a mug"})
        assert ("not there" if tool == "status" else "is the agent running") in text(result)

    with_client(talk, ROS_DOMAIN_ID=str(domain))
