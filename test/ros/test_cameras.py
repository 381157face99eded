"""Several cameras in one node: a goal names one, or asks all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from ros_support import REAL_AGENT, AgentProcess, Robot, until
from rsagent_ros.msg import Result
from rsagent_ros.msg import Turn as TurnMessage
from std_msgs.msg import Header

from rsagent_ros.ros.images import rgb_image


def square(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    picture = np.full((120, 160, 3), 200, np.uint8)
    picture[40:80, 60:100] = colour
    return picture


RED, BLUE = square((200, 30, 40)), square((30, 60, 200))


def nobody_listens(robot: Robot, topic: str) -> bool:
    return bool(robot.node.count_subscribers(topic) == 0)


@pytest.fixture
def agent(domain: int) -> Iterator[AgentProcess]:
    with AgentProcess(
        domain, "-p", "warm_up:=false", "-p", "cameras:=left, arm/wrist", program=[str(REAL_AGENT)]
    ) as agent:
        yield agent.ready()


@pytest.mark.usefixtures("agent")
def test_a_goal_names_a_camera_or_asks_all(robot: Robot) -> None:
    left = robot.camera(rgb_image(RED, Header(frame_id="left")), "/left/image")
    robot.camera(rgb_image(BLUE, Header(frame_id="wrist")), "/arm/wrist/image")
    turns = robot.listen(TurnMessage, "/agent/trace", 1000)

    def outcome(words: str, camera: str) -> tuple[int, str, str]:
        _, result = robot.ask(words, camera=camera)
        return result.outcome, result.camera, result.header.frame_id

    assert outcome("the red square", "") == (Result.FOUND, "left", "left")
    assert outcome("the blue square", "") == (Result.NOT_IN_VIEW, "left", "left")
    assert outcome("the blue square", "arm/wrist") == (Result.FOUND, "arm/wrist", "wrist")
    assert outcome("the blue square", "*") == (Result.FOUND, "arm/wrist", "wrist")
    assert outcome("the red square", "*") == (Result.FOUND, "left", "left")
    assert outcome("the green square", "*")[0] == Result.NOT_IN_VIEW
    assert {turn.header.frame_id for turn in turns.wait(1)} <= {"left", "wrist"}
    _, result = robot.ask("the red square", camera="right")
    assert (result.outcome, result.error_code) == (Result.FAILED, Result.UNKNOWN_CAMERA)
    assert "there are 'left', 'arm/wrist'" in result.error_msg

    left.stop()
    until(lambda: robot.node.count_publishers("/left/image") == 0)
    assert outcome("the blue square", "*") == (Result.FOUND, "arm/wrist", "wrist")


@pytest.mark.usefixtures("agent")
def test_a_goal_that_fails_on_every_camera_is_watched_by_none(robot: Robot) -> None:
    for topic in ("/left/image", "/arm/wrist/image"):
        robot.camera(rgb_image(RED, Header()), topic)
    _, result = robot.ask("the left one", camera="*", track=True, previous_id="never asked")
    assert result.error_code == Result.FOLLOW_UP_UNKNOWN
    for topic in ("/left/image", "/arm/wrist/image"):
        until(partial(nobody_listens, robot, topic))


@pytest.mark.usefixtures("agent")
def test_with_no_camera_at_all_the_first_one_is_named(robot: Robot) -> None:
    _, result = robot.ask("the red square", camera="*", time_budget=1.0)
    assert (result.outcome, result.error_code) == (Result.FAILED, Result.NO_PUBLISHER)
    assert "/left/image" in result.error_msg


@pytest.mark.parametrize("names", ["left, left", "1st", "a b"])
def test_names_that_can_not_be_are_refused(domain: int, names: str) -> None:
    with AgentProcess(domain, "-p", f"cameras:={names}", program=[str(REAL_AGENT)]) as agent:
        assert agent.exit_code() == 2
        assert "allowed: different names" in agent.log
