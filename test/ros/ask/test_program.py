"""`ask` in a pseudo-terminal, beside a node: what it prints and writes, Ctrl-C, questions, exit codes."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest
from filming import FilmCamera, shots_of
from lifecycle_msgs.msg import Transition
from moving_pictures import Film
from ros_support import ROOT, AgentProcess, Robot, picture, until
from rsagent_ros.msg import Result
from terminal import CTRL_C, END_OF_INPUT, Terminal

from rsagent_ros.ros.ask.program import EPILOG, EXIT_CODES, EXIT_UNAVAILABLE

Start = Callable[..., AgentProcess]

FOUND, FAILED, USAGE, NOT_IN_VIEW, AMBIGUOUS, GAVE_UP, NO_AGENT, CANCELED = 0, 1, 2, 3, 4, 5, 6, 130


@contextmanager
def ask(domain: int, *arguments: str) -> Iterator[Terminal]:
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    with Terminal([sys.executable, str(ROOT / "scripts/ask"), *arguments], environment) as terminal:
        yield terminal


def test_thoughts_as_they_come_and_an_answer_in_pixels(domain: int, robot: Robot, start: Start, tmp_path: Path) -> None:
    start()
    robot.camera(picture())
    with ask(domain, "the red mug", "--save", str(tmp_path / "answer")) as terminal:
        assert terminal.exit_code() == FOUND
        lines = terminal.text.splitlines()
    thinking = lines.index("... thinking")
    assert lines[thinking + 1 : thinking + 5] == ["1. The middle.", "   segment", "2. That is it.", "   finish"]
    assert lines[thinking + 5].startswith("found, after ")
    assert lines[thinking + 6].startswith("  box (16, 12) to (48, 36) px, confidence 0.")
    assert len(terminal.text) < 2000
    overlay, mask = (cv2.imread(str(tmp_path / "answer" / name)) for name in ("overlay.png", "mask.png"))
    assert overlay is not None
    assert mask is not None
    assert overlay.shape == mask.shape == (48, 64, 3)
    assert (mask[20, 20] == 255).all()
    assert json.loads((tmp_path / "answer/result.json").read_text())["outcome"] == "found"


def test_it_says_what_it_waits_for(domain: int) -> None:
    with ask(domain, "the red mug") as terminal:
        terminal.wait_for("waiting for /agent: it is not there; `ros2 launch rsagent_ros agent.launch.py` starts one")
        with AgentProcess(domain, "-p", "warm_up:=false", "-p", "autostart:=false"), Robot(domain) as robot:
            terminal.wait_for("waiting for /agent: its models are not loaded")
            assert robot.change_state(Transition.TRANSITION_CONFIGURE)
            terminal.wait_for("`ros2 lifecycle set /agent activate` lets it take goals")
            assert robot.change_state(Transition.TRANSITION_ACTIVATE)
            terminal.wait_for("... waiting for an image of the camera")
            robot.camera(picture())
            assert terminal.exit_code() == FOUND


def test_ctrl_c_cancels_the_goal(domain: int, robot: Robot, start: Start) -> None:
    start(script="hang")
    results = robot.listen(Result, "/agent/result")
    robot.camera(picture())
    with ask(domain, "the red mug", "--time-budget", "300") as terminal:
        terminal.wait_for("1. The middle.")
        terminal.type(CTRL_C)
        assert terminal.exit_code() == CANCELED
        assert "canceled, the best so far, after " in terminal.text
    assert results.wait()[0].outcome == Result.CANCELED


def test_ctrl_c_while_nobody_is_there(domain: int) -> None:
    with ask(domain, "the red mug") as terminal:
        terminal.wait_for("it is not there")
        terminal.type(CTRL_C)
        assert terminal.exit_code() == CANCELED
        assert "Traceback" not in terminal.text


def test_a_question_is_answered_where_that_is_wanted(domain: int, robot: Robot, start: Start) -> None:
    start(script="ambiguous")
    robot.camera(picture())
    with ask(domain, "the mug", "--follow") as terminal:
        terminal.wait_for("the agent asks: the left one or the one in the middle?\n  1. box (16, 12) to (48, 36) px")
        terminal.wait_for("> ")
        terminal.type("the left one\n")
        until(lambda: terminal.text.count("the agent asks") == 2)
        terminal.type(END_OF_INPUT)
        assert terminal.exit_code() == AMBIGUOUS


def test_a_question_is_answered_by_another_call(domain: int, robot: Robot, start: Start) -> None:
    start(script="ambiguous")
    robot.camera(picture())
    with ask(domain, "the mug") as terminal:
        assert terminal.exit_code() == AMBIGUOUS
        goal_id = terminal.text.split("--follows ")[1].split()[0]
    with ask(domain, "the left one", "--follows", goal_id) as terminal:
        assert terminal.exit_code() == AMBIGUOUS
        assert "FOLLOW_UP_UNKNOWN" not in terminal.text


def test_what_was_found_is_tracked_until_ctrl_c(domain: int, robot: Robot, start: Start) -> None:
    process = start(script="filmed")
    with FilmCamera(robot.node, shots_of(Film(pan=(0.0, 0.0)), 1)), ask(domain, "the box", "--track") as terminal:
        terminal.wait_for("tracking; Ctrl-C stops it")
        terminal.wait_for(" tracking, box (")
        terminal.type(CTRL_C)
        assert terminal.exit_code() == FOUND
    process.wait_for("stopped on request")


@pytest.mark.parametrize(
    ("script", "code", "told"),
    [
        ("absent", NOT_IN_VIEW, "not in view, after"),
        ("never_ends", GAVE_UP, "gave up (TURNS_SPENT), the best so far, after"),
        ("raises", FAILED, "failed (POLICY_FAILED), the best so far, after"),
    ],
)
def test_every_end_has_its_exit_code(
    domain: int, robot: Robot, start: Start, script: str, code: int, told: str
) -> None:
    start(script=script)
    robot.camera(picture())
    with ask(domain, "the red mug") as terminal:
        assert terminal.exit_code() == code
        assert told in terminal.text


def test_no_agent_and_bad_usage(domain: int, tmp_path: Path) -> None:
    with ask(domain, "the red mug", "--wait", "0.5", "--agent", "/left/agent") as terminal:
        assert terminal.exit_code() == NO_AGENT
        assert "ask: the agent '/left/agent' is not there after 0.5 s" in terminal.text
    (tmp_path / "file").touch()
    for arguments in (("  ",), ("the red mug", "--save", str(tmp_path / "file"))):
        with ask(domain, *arguments) as terminal:
            assert terminal.exit_code() == USAGE


def test_a_goal_that_looked_at_nothing_leaves_no_folder(domain: int, start: Start, tmp_path: Path) -> None:
    start("-p", "frame_timeout:=0.2")
    with ask(domain, "the red mug", "--save", str(tmp_path / "answer")) as terminal:
        assert terminal.exit_code() == FAILED
        assert "failed (NO_PUBLISHER)" in terminal.text
        assert "nothing was saved: the agent did not look at an image" in terminal.text
    assert not (tmp_path / "answer").exists()


def test_exit_codes_in_the_docs_and_in_the_help_are_those_of_the_program() -> None:
    page = (ROOT / "docs/ask.md").read_text(encoding="utf-8").split("| Exit code |")[1]
    documented = {int(row.split(" | ")[0].removeprefix("| ")) for row in page.splitlines()[2:] if row.startswith("| ")}
    codes = {*EXIT_CODES.values(), EXIT_UNAVAILABLE, USAGE}
    assert documented == codes
    assert {int(number) for number in re.findall(r"\b\d+\b", EPILOG)} == codes
