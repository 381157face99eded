"""The node calls nothing of rclpy that the next release drops."""

from __future__ import annotations

import pytest
from lifecycle_msgs.msg import Transition
from ros_support import AgentProcess, Robot, picture


def test_a_node_at_work_warns_of_no_deprecated_call(robot: Robot, domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "always::DeprecationWarning")
    with AgentProcess(domain, "-p", "warm_up:=false") as agent:
        agent.ready()
        robot.camera(picture())
        status, result = robot.ask("the thing")
        assert result.turns > 0, status
        assert robot.set_parameter("max_turns", 4).successful
        assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        assert agent.stop() == 0
        warned = [line for line in agent.log.splitlines() if ": DeprecationWarning: " in line]
    assert [line for line in warned if is_about_ros(line)] == []


def is_about_ros(warning: str) -> bool:
    """Whether it is of our own code or of rclpy, and not of another package."""
    _, site, module = warning.rpartition("site-packages/")
    return not site or module.startswith(("rclpy/", "rsagent_ros/"))
