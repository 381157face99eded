"""The node's shadow: a candidate answers the day's judged goals, is promoted on evidence, and rolled back by one call.

The comparison's process is the real one; incumbent and candidate are the reference policy with small and with large
pictures, one of which does not see what is asked for. Where the node itself has fakes, it is not about its answers.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from ros_support import PATIENCE, REAL_AGENT, AgentProcess, Robot, Sink, image_of, picture, until
from rsagent_ros.msg import Result, Verdict
from rsagent_ros.srv import Promotion
from shadow_cases import hurry, proof, small_circle, write_circles

from rsagent_ros.backends import Choice
from rsagent_ros.ros.client.action_client import finished
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.promotion import FILE, Promotions, read_promotions, write_promotions

Start = Callable[..., AgentProcess]
GOALS = 20
"""As a promotion needs."""

LIVE = 4
"""Of these, goals of the running robot; the others are in its records already."""

LONG = 5 * PATIENCE
"""Seconds for a process that starts, a comparison, or models that load: never that long."""


def settings(folder: Path, candidate: str = "policy: reference", **more: object) -> list[str]:
    """Parameters of a node whose own choice sees little, beside a candidate that sees more."""
    (folder / "candidate.yaml").write_text(candidate)
    values: dict[str, object] = {
        "view_side": 64,
        "candidate": folder / "candidate.yaml",
        "record_dir": folder / "records",
        "record_free_megabytes": 0.0,
        "shadow_idle": 0.2,
        "shadow_goals": GOALS,
        "diagnostics_period": 0.1,
        "time_budget": 600.0,
        "warm_up": "false",
    }
    return [word for name, value in (values | more).items() for word in ("-p", f"{name}:={value}")]


class Shadow:
    """What somebody who looks after the robot sees and does."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.seen = Sink()
        robot.node.create_subscription(DiagnosticArray, "/diagnostics", self.seen, 10)
        self._clients = {
            name: robot.node.create_client(Promotion, f"/agent/{name}") for name in ("promote", "rollback")
        }

    def call(self, name: str) -> tuple[bool, str]:
        client = self._clients[name]
        assert client.wait_for_service(PATIENCE)
        self.robot.connect()
        answer = finished(client.call_async(Promotion.Request()), LONG)
        return answer.success, answer.message

    def status(self) -> DiagnosticStatus:
        """The newest one."""

        def told(message: DiagnosticArray) -> list[DiagnosticStatus]:
            return [one for one in message.status if one.name.endswith("shadow")]

        return told(self.seen.wait(1, lambda message: bool(told(message)))[-1])[0]

    def value(self, key: str) -> str:
        return next((str(pair.value) for pair in self.status().values if pair.key == key), "")

    def until(self, agent: AgentProcess, condition: Callable[[], Any]) -> None:
        """Wait for it, as long as a comparison may take that need not wait for others."""
        end = time.monotonic() + LONG
        while not condition():
            assert time.monotonic() < end, f"it did not come true: {self.status()}"
            playing = worker(agent)
            hurry(None if playing is None else playing.pid)
            time.sleep(0.02)

    def until_promotable(self, agent: AgentProcess) -> None:
        self.until(agent, lambda: self.value("promotable") == "True")


@pytest.fixture
def shadow(robot: Robot) -> Shadow:
    return Shadow(robot)


def circle(robot: Robot, number: int, **fields: Any) -> Result:
    """What the agent answers about one of the circles."""
    image, _ = small_circle(number)
    return robot.ask("the red circle", image=image_of(image, "rgb8"), **fields)[1]


def judge(robot: Robot, folder: Path, number: int) -> None:
    """Tell where the circle really was; returns when that is on the disk."""
    _, drawn = small_circle(number)
    mask = image_of(drawn.mask.astype(np.uint8) * np.uint8(255), "mono8")
    verdict = Verdict(goal_id=f"day-{number}", source=Verdict.OPERATOR, corrected_mask=mask)
    robot.publisher(Verdict, "/agent/verdict").publish(verdict)
    until(lambda: any(folder.rglob(f"*{verdict.goal_id}.verdict-1.mcap")))


def worker(agent: AgentProcess) -> psutil.Process | None:
    """The comparison's process, if it runs."""
    for child in psutil.Process(agent.process.pid).children():
        if child.status() != psutil.STATUS_ZOMBIE and "rsagent_ros.shadow" in child.cmdline():
            return child
    return None


def test_from_a_days_goals_to_a_promotion_and_back(tmp_path: Path, domain: int, robot: Robot, shadow: Shadow) -> None:
    def start() -> AgentProcess:
        return AgentProcess(domain, *settings(tmp_path), program=[str(REAL_AGENT)])

    write_circles(tmp_path / "records", GOALS - LIVE)
    with start() as agent:
        agent.ready()
        done, message = shadow.call("promote")
        assert not done
        assert "not promoted: " in message
        for number in range(100, 100 + LIVE):
            assert circle(robot, number, id=f"day-{number}").outcome == Result.NOT_IN_VIEW
            judge(robot, tmp_path / "records", number)
        shadow.until_promotable(agent)
        done, message = shadow.call("rollback")
        assert (done, message.partition(":")[0]) == (False, "nothing to roll back")
        done, message = shadow.call("promote")
        assert done, message
        assert message.startswith("promoted reference and classical: value 0.")
        assert robot.state() == "active"
        result = circle(robot, 77)
        assert result.outcome == Result.FOUND
        assert agent.stop() == 0
    (entry,) = read_promotions(tmp_path / "records/shadow").history
    assert (entry["what"], entry["by"], entry["evidence"]["goals"]) == ("promoted", "service", GOALS)

    with start() as agent:
        agent.ready()
        assert "reference and classical is active: it was promoted" in agent.log
        assert "no comparison: the candidate, reference and classical, is active already" in agent.log
        assert circle(robot, 77).outcome == Result.FOUND
        assert shadow.call("rollback") == (True, "rolled back: reference and classical, 64 pixels is active")
        assert circle(robot, 77).outcome == Result.NOT_IN_VIEW
        assert agent.stop() == 0

    with start() as agent:
        agent.ready()
        assert "was promoted" not in agent.log
        assert circle(robot, 77).outcome == Result.NOT_IN_VIEW
        assert agent.stop() == 0


def test_a_goal_pauses_the_comparison_and_is_answered(
    tmp_path: Path, robot: Robot, shadow: Shadow, start: Start
) -> None:
    write_circles(tmp_path / "records", GOALS)
    agent = start(*settings(tmp_path))
    shadow.until(agent, lambda: shadow.value("comparison") == "running")
    assert robot.set_parameter("shadow_idle", 600.0).successful
    assert robot.ask(image=picture())[1].outcome == Result.FOUND
    # A machine that is busy with other things may not let it stop in time; then it was killed, and waits.
    shadow.until(agent, lambda: shadow.value("comparison") in ("paused", "waiting"))
    assert robot.set_parameter("shadow_idle", 0.2).successful
    shadow.until_promotable(agent)
    assert shadow.value("goals") == f"{GOALS} of {GOALS} judged, {GOALS} needed"
    assert "defect" not in agent.log


def test_a_killed_comparison_goes_on_and_the_agent_does_not_notice(
    tmp_path: Path, robot: Robot, shadow: Shadow, start: Start
) -> None:
    write_circles(tmp_path / "records", GOALS)
    agent = start(*settings(tmp_path))
    shadow.until(agent, lambda: worker(agent) is not None)
    victim = worker(agent)
    assert victim is not None
    victim.send_signal(signal.SIGKILL)
    assert robot.ask(image=picture())[1].outcome == Result.FOUND
    shadow.until_promotable(agent)
    assert int(shadow.value("processes started")) >= 2
    second = worker(agent)
    assert second is not None
    agent.kick(signal.SIGKILL)
    until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE)


def test_nothing_is_promoted_while_a_goal_runs(tmp_path: Path, robot: Robot, shadow: Shadow, start: Start) -> None:
    write_circles(tmp_path / "records", GOALS)
    agent = start(*settings(tmp_path), script="slow")
    shadow.until_promotable(agent)
    goal = robot.send(image=picture(), time_budget=300.0)
    goal.feedback.wait(1)
    assert shadow.call("promote") == (False, "not promoted: a goal runs or waits; try again when it has ended")
    goal.cancel()
    assert goal.result()[1].outcome == Result.CANCELED
    done, message = shadow.call("promote")
    assert done, message
    # A rollback does not wait: the goal that runs ends.
    goal = robot.send(image=picture(), time_budget=300.0)
    goal.feedback.wait(1)
    done, message = shadow.call("rollback")
    assert done, message
    assert goal.result()[1].outcome == Result.SHUTDOWN
    assert agent.stop() == 0


def test_a_candidate_that_can_not_be_loaded_leaves_the_models_of_before(
    tmp_path: Path, robot: Robot, shadow: Shadow, start: Start
) -> None:
    write_circles(tmp_path / "records", GOALS)
    agent = start(*settings(tmp_path, f"calibration: {tmp_path}/none.json"))
    shadow.until_promotable(agent)
    done, message = shadow.call("promote")
    assert not done
    assert message.startswith("not promoted: reference and classical can't be loaded: calibration: ")
    assert "reference and classical, 64 pixels is active instead" in message
    assert robot.state() == "active"
    assert robot.ask(image=picture())[1].outcome == Result.FOUND
    assert not (tmp_path / "records/shadow" / FILE).exists()


def promoted(folder: Path, candidate: CandidateModels, parameters: CandidateModels) -> None:
    """As if it had been, in an earlier life of the robot."""
    write_promotions(folder, Promotions().promote(candidate, parameters, proof(parameters, candidate)))


OWN, LOST = CandidateModels(Choice(view_side=64)), CandidateModels(Choice(), "/nowhere/calibration.json")


def test_who_was_promoted_and_is_gone_gives_way_to_the_parameters(
    tmp_path: Path, domain: int, robot: Robot, shadow: Shadow
) -> None:
    promoted(tmp_path / "records/shadow", LOST, OWN)
    with AgentProcess(domain, *settings(tmp_path, candidate=""), program=[str(REAL_AGENT)]) as agent:
        agent.ready()
        assert "reference and classical can't be loaded: calibration: " in agent.log
        until(lambda: shadow.status().level == DiagnosticStatus.WARN)
        assert "reference and classical, 64 pixels is active instead" in shadow.status().message
        assert robot.ask(image=picture())[1].outcome != Result.FAILED
        assert shadow.call("rollback")[0]
        until(lambda: shadow.status().level == DiagnosticStatus.OK)
        assert agent.stop() == 0


def test_parameters_that_are_changed_by_hand_count(tmp_path: Path, robot: Robot, shadow: Shadow, start: Start) -> None:
    other = CandidateModels(Choice(view_side=128))
    promoted(tmp_path / "records/shadow", other, OWN)
    start(*settings(tmp_path, candidate=""))
    until(lambda: shadow.value("active") == "reference and classical, 128 pixels")
    for side in (256, 64):
        assert robot.set_parameter("view_side", side).successful
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP,
                           Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):  # fmt: skip
            assert robot.change_state(transition)
        side_now = 256 if side == 256 else 128
        until(lambda side_now=side_now: shadow.value("active") == f"reference and classical, {side_now} pixels")  # type: ignore[misc]
        assert shadow.call("rollback")[0] == (side == 64)


def test_a_damaged_file_of_promotions_is_told_and_the_parameters_count(
    tmp_path: Path, robot: Robot, shadow: Shadow, start: Start
) -> None:
    path = tmp_path / "elsewhere" / FILE
    path.parent.mkdir()
    path.write_text("promoted: 3")
    start(*settings(tmp_path, candidate="", shadow_dir=path.parent))
    assert robot.ask(image=picture())[1].outcome == Result.FOUND
    until(lambda: shadow.status().level == DiagnosticStatus.WARN)
    assert f"{path} is damaged" in shadow.status().message
    done, message = shadow.call("rollback")
    assert not done
    assert "is damaged" in message
    assert path.read_text() == "promoted: 3"


@pytest.mark.parametrize(
    ("candidate", "more", "told"),
    [
        ("policy: telepathy", {}, "candidate.yaml: there is no policy 'telepathy'"),
        ("policy: reference", {"record_dir": "''"}, "there is a candidate, but no record_dir"),
        ("policy: reference", {"shadow_dir": "/proc/none"}, "/proc/none"),
    ],
)
def test_what_hinders_a_comparison_is_told(
    tmp_path: Path, robot: Robot, shadow: Shadow, start: Start, candidate: str, more: dict[str, object], told: str
) -> None:
    start(*settings(tmp_path, candidate, **more))
    assert robot.ask(image=picture())[1].outcome == Result.FOUND
    until(lambda: shadow.status().level == DiagnosticStatus.WARN)
    assert told in shadow.status().message
    done, message = shadow.call("promote")
    assert not done
    assert told in message


def test_without_a_candidate_nothing_runs(robot: Robot, shadow: Shadow, start: Start) -> None:
    agent = start("-p", "diagnostics_period:=0.1", "-p", "shadow_idle:=0.0")
    assert robot.ask(image=picture())[1].outcome == Result.FOUND
    assert shadow.status().message == "no comparison"
    assert worker(agent) is None
    assert shadow.call("promote") == (False, "nothing to promote: there is no comparison under way")
    assert shadow.call("rollback")[0] is False
