"""Confidences and their threshold in the node: a file of `rsagent calibrate`, and what it makes of an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from action_msgs.msg import GoalStatus
from ros_support import AgentProcess, Robot, picture
from rsagent_ros.msg import Result

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.confidence import Calibration, save
from rsagent_ros.confidence.evidence import NAMES

Start = Callable[..., AgentProcess]


def calibration_file(folder: Path, *, policy: str = "fake_policy", bias: float = 0.0) -> Path:
    """A calibration that gives every answer the same confidence: 0.5 for a bias of 0."""
    zeros, ones = (0.0,) * len(NAMES), (1.0,) * len(NAMES)
    path = folder / "calibration.json"
    save(Calibration("platt", NAMES, zeros, zeros, ones, zeros, bias, (), (), 20, 0.5, policy, "fake_segmenter"), path)
    return path


def test_confidences_are_those_of_the_calibration(robot: Robot, start: Start, tmp_path: Path) -> None:
    start("-p", f"calibration:={calibration_file(tmp_path)}")
    _, result = robot.ask(image=picture())
    assert result.outcome == Result.FOUND
    assert [found.confidence for found in result.instances] == [0.5]
    trace = Trace.from_json(result.trace)
    assert (trace.confidences, trace.calibrated) == ((0.5,), True)


def test_an_answer_below_the_threshold_is_not_found(robot: Robot, start: Start, tmp_path: Path) -> None:
    start("-p", f"calibration:={calibration_file(tmp_path)}", "-p", "min_confidence:=0.6")
    status, result = robot.ask(image=picture())
    assert (status, result.outcome, result.partial) == (GoalStatus.STATUS_SUCCEEDED, Result.GAVE_UP, True)
    assert "0.50, below the threshold 0.6" in result.error_msg
    assert len(result.instances) == 1
    assert Trace.from_json(result.trace).outcome is Outcome.GAVE_UP
    assert robot.set_parameter("min_confidence", 0.4).successful
    assert robot.ask(image=picture())[1].outcome == Result.FOUND


@pytest.mark.parametrize(
    ("policy", "told"),
    [("another", "was made for another and fake_segmenter"), ("", "is missing; `rsagent calibrate`")],
)
def test_a_calibration_that_does_not_fit_leaves_the_node_unconfigured(
    domain: int, tmp_path: Path, policy: str, told: str
) -> None:
    path = calibration_file(tmp_path, policy=policy) if policy else tmp_path / "nowhere.json"
    with AgentProcess(domain, "-p", f"calibration:={path}") as agent:
        agent.wait_for("the models could not be loaded: calibration: ")
        assert told in agent.log
