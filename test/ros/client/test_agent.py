"""The planner's client: three lines, and every way they can go wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rclpy.clock import ClockType, ROSClock
from rclpy.time import Time
from ros_support import PATIENCE, AgentProcess, Robot, picture, until
from rsagent_ros.msg import Result

from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.ros.client import Agent, AgentUnavailable

Start = Callable[..., AgentProcess]

IMAGE = np.full((48, 64, 3), 90, np.uint8)

COUNT = 60
"""Messages that would take longer than the test may, if each waited 3 s, as DDS does without being asked."""


@pytest.fixture
def here(domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a planner on the agent's domain."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))


@pytest.mark.usefixtures("here")
def test_three_lines(start: Start) -> None:
    start()
    turns: list[str] = []
    threads = threading.active_count()
    with Agent() as agent:
        answer = agent.segment("the red mug", image=IMAGE, goal_id="mine", on_turn=lambda turn: turns.append(turn.tool))
        again = agent.segment("the red mug", image=IMAGE)
    assert answer.outcome == "found"
    assert answer.mask is not None
    assert (answer.mask.shape, answer.mask.dtype, int(answer.mask.sum())) == ((48, 64), np.bool_, 32 * 24)
    assert (answer.goal_id, answer.error_code, answer.error_msg) == ("mine", ErrorCode.NONE, "")
    assert (answer.instances[0].box.x0, answer.instances[0].box.y1) == (16, 36)
    assert answer.confidence
    assert 0.0 < answer.confidence <= 1.0
    assert turns == ["segment", "finish"]
    assert again.goal_id != "mine"
    assert threading.active_count() == threads


@pytest.mark.usefixtures("here")
def test_a_verdict_reaches_the_agent(start: Start) -> None:
    process = start()
    right = np.zeros((48, 64), dtype=bool)
    right[10:20, 10:20] = True
    with Agent() as agent:
        answer = agent.segment("the red mug", image=IMAGE)
        agent.judge(answer.goal_id, False, mask=right, note="the other one")
    process.wait_for("was rejected by operator: 'the other one'")


@pytest.mark.usefixtures("here")
def test_verdicts_and_stops_do_not_wait_for_a_heartbeat_of_dds(start: Start) -> None:
    process = start()
    with Agent() as agent:
        answer = agent.segment("the red mug", image=IMAGE)
        for _ in range(COUNT):
            agent.judge(answer.goal_id, True)
            agent.stop_tracking()
    process.wait_for("was accepted by operator", COUNT)


@pytest.mark.usefixtures("here")
def test_a_verdict_that_the_agent_refuses_is_told(start: Start) -> None:
    start()
    with Agent() as agent:
        with pytest.raises(ValueError, match="no goal 'mine' among the last"):
            agent.judge("mine", True)
        answer = agent.segment("the red mug", image=IMAGE)
        with pytest.raises(ValueError, match="accepted and absent contradict each other"):
            agent.judge(answer.goal_id, True, absent=True)
        with pytest.raises(ValueError, match="corrected_mask is of"):
            agent.judge(answer.goal_id, False, mask=np.zeros((10, 10), np.bool_))
        agent.judge(answer.goal_id, True)


@pytest.mark.usefixtures("here")
def test_clients_that_judge_at_once_get_their_own_answers(start: Start) -> None:
    start()
    with Agent() as one, Agent() as other, ThreadPoolExecutor() as threads:
        goal_id = one.segment("the red mug", image=IMAGE).goal_id
        right = [threads.submit(one.judge, goal_id, True) for _ in range(5)]
        wrong = [threads.submit(other.judge, f"unknown {number}", True) for number in range(5)]
        assert [verdict.exception() for verdict in right] == [None] * 5
        refusals = [str(verdict.exception()) for verdict in wrong]
    assert [f"'unknown {number}'" in refusal for number, refusal in enumerate(refusals)] == [True] * 5


def test_each_verdict_gets_its_own_answer_though_the_clock_stands_still(
    domain: int, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    start()
    with Robot(domain, use_sim_time=True) as robot, Agent(node=robot.node) as agent:
        clock = robot.node.get_clock()
        assert isinstance(clock, ROSClock)
        for seconds in (0, 7):
            clock.set_ros_time_override(Time(seconds=seconds, clock_type=ClockType.ROS_TIME))
            goal_id = agent.segment("the red mug", image=IMAGE).goal_id
            agent.judge(goal_id, True)
            with pytest.raises(ValueError, match="accepted and absent contradict each other"):
                agent.judge(goal_id, True, absent=True)
            agent.judge(goal_id, False)


@pytest.mark.usefixtures("here")
def test_a_message_for_nobody_is_told() -> None:
    with Agent(wait=0.2) as agent:
        with pytest.raises(AgentUnavailable, match="nobody subscribes to /agent/verdict"):
            agent.judge("mine", True)
        with pytest.raises(AgentUnavailable, match="nobody subscribes to /agent/stop_tracking"):
            agent.stop_tracking()


@pytest.mark.usefixtures("here")
def test_it_waits_until_the_agent_takes_goals(domain: int) -> None:
    with Agent() as agent:
        with pytest.raises(AgentUnavailable, match=r"is not there after 0\.2 s"):
            agent.wait_until_active(0.2)
        with AgentProcess(domain, "-p", "autostart:=false"), Robot(domain) as robot:
            until(lambda: robot.state() == "unconfigured")
            with pytest.raises(AgentUnavailable, match=r"is unconfigured after 1\.5 s; see its log"):
                agent.wait_until_active(1.5)
            assert robot.change_state(Transition.TRANSITION_CONFIGURE)
            assert robot.change_state(Transition.TRANSITION_ACTIVATE)
            agent.wait_until_active(PATIENCE)
            assert agent.segment("the red mug", image=IMAGE).outcome == "found"


def test_inside_a_process_that_has_a_node(robot: Robot, start: Start) -> None:
    start(script="ambiguous")
    robot.camera(picture())
    with Agent(node=robot.node) as agent:
        answer = agent.segment("the mug")
    assert answer.outcome == "ambiguous"
    assert (len(answer.candidates), answer.question) == (2, "the left one or the one in the middle?")
    assert answer.mask is None
    assert answer.confidence == max(one.confidence for one in answer.candidates)
    assert answer.header.frame_id == "camera"
    robot.connect()  # its node is still alive


@pytest.mark.usefixtures("here")
def test_failures_are_answers(start: Start) -> None:
    start(script="raises")
    with Agent() as agent:
        answer = agent.segment("the red mug", image=IMAGE)
        assert (answer.outcome, answer.error_code) == ("failed", ErrorCode.POLICY_FAILED)
        assert "ValueError" in answer.error_msg
        assert agent.segment("").error_code is ErrorCode.INVALID_GOAL


@pytest.mark.usefixtures("here")
def test_nobody_there() -> None:
    told = r"no action server '/left/agent/segment' after 0\.5 s: is the agent running"
    with Agent("/left/agent", wait=0.5) as agent, pytest.raises(AgentUnavailable, match=told):
        agent.segment("the red mug")
    with pytest.raises(RuntimeError, match="with Agent"):
        agent.segment("the red mug")


@pytest.mark.usefixtures("here")
def test_a_timeout_cancels_the_goal(robot: Robot, start: Start) -> None:
    start(script="hang")
    results = robot.listen(Result, "/agent/result")
    with Agent() as agent, pytest.raises(TimeoutError, match=r"within 0\.3 s; the goal was cancelled"):
        agent.segment("the red mug", image=IMAGE, time_budget=300.0, timeout=0.3)
    assert results.wait(1)[0].outcome == Result.CANCELED


@pytest.mark.usefixtures("here")
def test_an_exception_of_the_planner_cancels_the_goal(robot: Robot, start: Start) -> None:
    start(script="slow")
    results = robot.listen(Result, "/agent/result")

    def object_to(turn: object) -> None:
        raise ValueError("not that way")

    with Agent() as agent:
        with pytest.raises(ValueError, match="not that way"):
            agent.segment("the red mug", image=IMAGE, time_budget=300.0, on_turn=object_to)
        assert results.wait(1)[0].outcome == Result.CANCELED
        with pytest.raises(TimeoutError):  # the client is still of use
            agent.segment("the red mug", image=IMAGE, timeout=0.1)


PLANNER = """
import signal
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # in case whoever runs the tests ignores it
from rsagent_ros.ros.client import Agent
def say(turn):
    print("turn", flush=True)
with Agent() as agent:
    agent.segment("a mug", image=np.zeros((48, 64, 3), np.uint8), time_budget=300.0, on_turn=say)
"""


def test_ctrl_c_cancels_the_goal(domain: int, robot: Robot, start: Start) -> None:
    start(script="hang")
    results = robot.listen(Result, "/agent/result")
    planner = subprocess.Popen(
        [sys.executable, "-c", PLANNER],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert planner.stdout is not None
        assert planner.stdout.readline() == "turn\n"
        planner.send_signal(signal.SIGINT)
        assert results.wait(1)[0].outcome == Result.CANCELED
        _, told = planner.communicate(timeout=20)
        assert "KeyboardInterrupt" in told
    finally:
        planner.kill()
        planner.wait()


@pytest.mark.usefixtures("here")
def test_an_agent_that_dies_is_noticed(robot: Robot, start: Start) -> None:
    agent_process = start(script="hang", shared_memory=False)
    with Agent() as agent:
        problems: list[Exception] = []

        def ask() -> None:
            try:
                agent.segment("the red mug", image=IMAGE, time_budget=300.0, on_turn=lambda turn: begun.set())
            except Exception as error:
                problems.append(error)

        begun = threading.Event()
        asking = threading.Thread(target=ask)
        asking.start()
        assert begun.wait(20)
        agent_process.kick(signal.SIGKILL)
        asking.join(60)
    assert [type(problem) for problem in problems] == [AgentUnavailable]
