"""Lifecycle of the node: every transition, at any time, again and again; and how the program ends."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from action_msgs.msg import GoalStatus
from lifecycle_msgs.msg import Transition
from ros_support import REAL_AGENT, AgentProcess, Robot, picture, until
from rsagent_ros.msg import Result

Start = Callable[..., AgentProcess]

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
MEBIBYTE = 1 << 20


def endpoints(robot: Robot) -> Counter[tuple[str, str]]:
    """How many publishers and subscriptions the agent has on each topic, as far as they have been discovered."""
    node = robot.node
    return Counter(
        (kind, topic)
        for topic, _ in node.get_topic_names_and_types()
        for kind, found in (
            ("publisher", node.get_publishers_info_by_topic(topic)),
            ("subscription", node.get_subscriptions_info_by_topic(topic)),
        )
        for endpoint in found
        if endpoint.node_name == "agent"
    )


def one_of_each(robot: Robot) -> bool:
    """Whether the agent has each of its endpoints once."""
    found = endpoints(robot)
    return {("publisher", "/agent/result"), ("subscription", "/image")} <= set(found) and set(found.values()) == {1}


def test_all_transitions_twenty_times_leak_nothing(domain: int, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")  # else glibc's arenas, one a thread, fill up in their own time
    agent = start("-p", "camera_mode:=always", "-p", "result_timeout:=1")
    process = psutil.Process(agent.process.pid)
    with Robot(domain) as robot:
        camera = robot.camera(picture())
        threads: list[int] = []
        memory: list[int] = []
        for _ in range(20):
            assert robot.ask()[1].outcome == Result.FOUND
            threads.append(process.num_threads())
            memory.append(process.memory_info().rss)
            assert robot.change_state(DEACTIVATE)
            assert robot.state() == "inactive"
            assert robot.ask()[1].error_code == Result.NOT_ACTIVE
            assert robot.change_state(CLEANUP)
            assert robot.state() == "unconfigured"
            assert robot.change_state(CONFIGURE)
            assert robot.change_state(ACTIVATE)
            assert robot.state() == "active"
        # The executor starts its few threads when it first needs them; a leak would start one in each round.
        assert max(threads[10:]) - max(threads[:10]) < 5
        until(lambda: one_of_each(robot))
        assert max(memory[15:]) - max(memory[5:10]) < 4 * MEBIBYTE
        camera.stop()
        assert robot.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert agent.exit_code() == 0


def test_transitions_that_are_not_allowed_are_refused(robot: Robot, start: Start) -> None:
    agent = start()
    for transition in (ACTIVATE, CONFIGURE, CLEANUP, 77):
        assert not robot.change_state(transition)
    assert robot.state() == "active"
    told = ("refused a transition", "Unable to start transition")  # rclpy says it itself since Kilted
    assert 4 in [agent.log.count(words) for words in told]
    assert robot.ask(image=picture())[1].outcome == Result.FOUND


def test_without_autostart_it_waits_to_be_asked(domain: int, robot: Robot) -> None:
    with AgentProcess(domain, "-p", "autostart:=false", "-p", "warm_up:=false"):
        assert robot.state() == "unconfigured"
        status, result = robot.ask(image=picture())
        assert (status, result.outcome, result.error_code) == (
            GoalStatus.STATUS_ABORTED,
            Result.FAILED,
            Result.NOT_ACTIVE,
        )
        assert robot.change_state(CONFIGURE)
        assert robot.change_state(ACTIVATE)
        assert robot.ask(image=picture())[1].outcome == Result.FOUND


def test_a_model_that_fails_its_warm_up_leaves_the_node_unconfigured(domain: int, robot: Robot) -> None:
    with AgentProcess(domain, "-p", "warm_up:=true", fault="raises") as agent:
        agent.wait_for("the models could not be loaded: fake_segmenter: ValueError: a fault that was injected")
        assert robot.state() == "unconfigured"
        assert not robot.change_state(CONFIGURE)
        robot.set_parameter("warm_up", False)
        assert robot.change_state(CONFIGURE)
        assert robot.state() == "inactive"


def test_other_services_answer_while_models_load(domain: int, robot: Robot) -> None:
    with AgentProcess(domain, "-p", "warm_up:=true", script="hang_at_once") as agent:
        assert robot.state() == "configuring"
        assert not robot.change_state(CONFIGURE)
        assert robot.set_parameter("max_turns", 3).successful
        agent.kick(signal.SIGUSR1)
        until(lambda: robot.state() == "active")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("script", ["slow", "hang"])
def test_a_signal_ends_the_running_goal_and_the_node(
    robot: Robot, start: Start, number: signal.Signals, script: str
) -> None:
    agent = start(script=script)
    goal = robot.send(image=picture(), time_budget=300.0)
    goal.feedback.wait(1)
    ended: list[tuple[int, object]] = []
    waiting = threading.Thread(target=lambda: ended.append(goal.result()))
    waiting.start()
    assert agent.stop(number) == 0
    waiting.join()
    ((status, result),) = ended
    assert (status, result.outcome, result.partial) == (GoalStatus.STATUS_ABORTED, Result.SHUTDOWN, True)  # type: ignore[attr-defined]
    assert "Traceback" not in agent.log


def test_deactivation_ends_the_running_goal(robot: Robot, start: Start) -> None:
    start(script="hang")
    goal = robot.send(image=picture(), time_budget=300.0)
    goal.feedback.wait(1)
    assert robot.change_state(DEACTIVATE)
    status, result = goal.result()
    assert (status, result.outcome) == (GoalStatus.STATUS_ABORTED, Result.SHUTDOWN)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_idle_node(start: Start, number: signal.Signals) -> None:
    agent = start()
    assert agent.stop(number) == 0
    assert "Traceback" not in agent.log


def test_a_signal_is_heeded_while_models_load(domain: int) -> None:
    with AgentProcess(domain, "-p", "warm_up:=true", script="hang_at_once") as agent, Robot(domain) as robot:
        assert robot.state() == "configuring"
        assert agent.stop() == 0


def test_a_long_hang_ends_the_node_with_its_own_code(robot: Robot, start: Start) -> None:
    agent = start("-p", "hang_grace:=0.1", "-p", "restart_on_hang:=0.2", script="hang_at_once")
    assert robot.ask(image=picture(), time_budget=0.1)[1].outcome == Result.GAVE_UP
    assert agent.exit_code() == 75


# --- the real program


def test_the_program_starts_with_its_own_parameter_file(domain: int, robot: Robot) -> None:
    file = str(REAL_AGENT.parents[1] / "config/agent.yaml")
    with AgentProcess(domain, "--params-file", file, "-p", "max_turns:=1", program=[str(REAL_AGENT)]) as agent:
        agent.ready()
        assert "ready: reference and classical" in agent.log
        _, result = robot.ask("the red mug", image=picture(320, 240))
        assert (result.outcome, result.policy, result.segmenter) != (Result.FAILED, "", "")
        assert agent.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-p", "time_budget:=-1.0"), "time_budget is -1.0; allowed: 0.1 to 600"),
        (("-p", "policy:=telepathy"), "policy is 'telepathy'; allowed: chat_server, local, reference"),
        (("-p", "time_budget:=soon"), "time_budget is 'soon'; allowed: 0.1 to 600"),
        (("-p", "max_turns:=2.5"), "max_turns"),
        (("-p", "camera_mode"), "camera_mode"),
        (("--params-file", "/nowhere/agent.yaml"), "/nowhere/agent.yaml"),
    ],
)
def test_bad_arguments_end_the_program_with_a_sentence(domain: int, arguments: tuple[str, ...], told: str) -> None:
    with AgentProcess(domain, *arguments, program=[str(REAL_AGENT)]) as agent:
        assert agent.exit_code() == 2
        assert told in agent.log
        assert "Traceback" not in agent.log


def test_a_broken_parameter_file_ends_the_program_with_a_sentence(domain: int, tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("agent: [")
    file = str(tmp_path / "agent.yaml")
    with AgentProcess(domain, "--params-file", file, program=[str(REAL_AGENT)]) as agent:
        assert agent.exit_code() == 2
        assert file in agent.log
        assert "Traceback" not in agent.log
