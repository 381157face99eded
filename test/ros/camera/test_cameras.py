"""Several cameras in one node: a goal names one, or asks all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray
from ros_support import REAL_AGENT, AgentProcess, Robot, until
from rsagent_ros.msg import Result
from rsagent_ros.msg import Turn as TurnMessage
from std_msgs.msg import Header

from rsagent_ros.ros.camera.images import rgb_image

Start = Callable[..., AgentProcess]


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
        domain, "-p", "warm_up:=false", "-p", "cameras:=[left, arm/wrist]", program=[str(REAL_AGENT)]
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
def test_a_question_about_one_of_several_cameras_can_be_answered(robot: Robot) -> None:
    two = square((200, 30, 40))
    two[40:80, 10:50] = (200, 30, 40)
    robot.camera(rgb_image(two, Header()), "/left/image")
    robot.camera(rgb_image(BLUE, Header()), "/arm/wrist/image")
    _, asked = robot.ask("the red square", camera="*", id="which")
    assert (asked.outcome, asked.camera) == (Result.AMBIGUOUS, "left")
    _, answer = robot.ask("the left one", camera="left", previous_id="which")
    assert answer.outcome == Result.FOUND
    assert answer.instances[0].roi.x_offset < 20


@pytest.mark.usefixtures("agent")
def test_a_goal_that_fails_on_every_camera_is_watched_by_none(robot: Robot) -> None:
    for topic in ("/left/image", "/arm/wrist/image"):
        robot.camera(rgb_image(RED, Header()), topic)
    _, result = robot.ask("x" * 3000, camera="*", track=True)
    assert result.error_code == Result.INVALID_GOAL
    for topic in ("/left/image", "/arm/wrist/image"):
        until(partial(nobody_listens, robot, topic))


@pytest.mark.usefixtures("agent")
def test_with_no_camera_at_all_the_first_one_is_named(robot: Robot) -> None:
    _, result = robot.ask("the red square", camera="*", time_budget=1.0)
    assert (result.outcome, result.error_code) == (Result.FAILED, Result.NO_PUBLISHER)
    assert "/left/image" in result.error_msg


def test_a_camera_that_stopped_is_told(domain: int, robot: Robot) -> None:
    words = ("-p", "warm_up:=false", "-p", "camera_mode:=always", "-p", "diagnostics_period:=0.1")
    with AgentProcess(domain, *words, program=[str(REAL_AGENT)]) as agent:
        agent.ready()
        camera = robot.camera(rgb_image(RED, Header()))
        said = robot.listen(DiagnosticArray, "/diagnostics", 10)

        def status(message: DiagnosticArray) -> DiagnosticStatus:
            return next(one for one in message.status if one.name.endswith(": camera"))

        said.wait(1, lambda message: status(message).level == DiagnosticStatus.OK)
        camera.pause()
        said.wait(1, lambda message: "is 1." in status(message).message and "s old" in status(message).message)
        values = {pair.key: pair.value for pair in status(said.messages[-1]).values}
        assert values["mode"] == "always"
        assert float(values["seconds since the last frame"]) >= 1.0
        robot.set_parameter("camera_mode", "on_demand")  # from the next activation on
        before = len(said.messages)
        said.wait(before + 3)
        values = {pair.key: pair.value for pair in status(said.messages[-1]).values}
        assert values["mode"] == "always"


THREE = ("-p", "cameras:=[left, wrist, rear]", "-p", "frame_timeout:=60.0")


def test_cameras_without_a_frame_leave_the_others_their_time(robot: Robot, start: Start) -> None:
    """Each has a third of the 9 s, so that the last one is looked through, too."""
    start(*THREE)
    robot.camera(rgb_image(RED, Header()), "/rear/image")
    _, result = robot.ask(camera="*", time_budget=9.0)
    assert (result.outcome, result.camera, result.partial) == (Result.FOUND, "rear", False)


def test_cameras_that_were_not_looked_through_are_named(robot: Robot, start: Start) -> None:
    start(*THREE, script="absent")
    robot.camera(rgb_image(RED, Header()), "/wrist/image")
    _, result = robot.ask(camera="*", time_budget=3.0)
    assert (result.outcome, result.camera, result.partial) == (Result.NOT_IN_VIEW, "wrist", True)
    for told in (result.reason, result.error_msg):
        assert "not looked through: camera 'left' (no publisher on /left/image" in told
        assert "camera 'rear' (no publisher on /rear/image" in told
    assert result.reason.startswith("there is nothing like it; ")
    robot.camera(rgb_image(RED, Header()), "/left/image")
    robot.camera(rgb_image(RED, Header()), "/rear/image")
    _, result = robot.ask(camera="*", time_budget=30.0)
    assert (result.outcome, result.partial, result.error_msg) == (Result.NOT_IN_VIEW, False, "")


def test_their_names_as_text_are_taken_with_a_warning(robot: Robot, start: Start) -> None:
    agent = start("-p", "cameras:=left, arm/wrist")
    assert (
        "cameras is the text 'left, arm/wrist', which is deprecated: write a list, ['left', 'arm/wrist']" in agent.log
    )
    robot.camera(rgb_image(RED, Header()), "/arm/wrist/image")
    assert robot.ask(camera="arm/wrist")[1].outcome == Result.FOUND


def test_one_camera_needs_no_name(robot: Robot, start: Start) -> None:
    agent = start("-p", "cameras:=['']")
    robot.camera(rgb_image(RED, Header()))
    assert robot.ask()[1].outcome == Result.FOUND
    assert "cameras is the text" not in agent.log


@pytest.mark.parametrize("names", ["left, left", "[left, left]", "1st", "[a b]", "[1, 2]"])
def test_names_that_can_not_be_are_refused(domain: int, names: str) -> None:
    with AgentProcess(domain, "-p", f"cameras:={names}", program=[str(REAL_AGENT)]) as agent:
        assert agent.exit_code() == 2
        assert "allowed: different names" in agent.log


def test_time_that_one_of_several_cameras_has_spent_is_told_as_its_part(robot: Robot, start: Start) -> None:
    start("-p", "cameras:=[left, wrist]", script="slow")
    robot.camera(rgb_image(RED, Header()), "/left/image")
    robot.camera(rgb_image(RED, Header()), "/wrist/image")
    _, result = robot.ask(camera="*", time_budget=2.0)
    assert (result.outcome, result.error_code, result.camera) == (Result.GAVE_UP, Result.TIME_SPENT, "left")
    assert result.error_msg == "this camera's part of the time budget of 2 s is spent"
    _, result = robot.ask(camera="left", time_budget=1.0)
    assert result.error_msg == "the time budget of 1 s is spent"
