"""Second looks in the node: the parameter, what comes back, and a second look that hangs."""

from __future__ import annotations

from collections.abc import Callable

from action_msgs.msg import GoalStatus
from ros_support import AgentProcess, Robot, picture
from rsagent_ros.msg import Result

from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.verification import REJECTED_FACTOR

Start = Callable[..., AgentProcess]


def test_a_doubted_answer_is_sent_back_and_corrected(robot: Robot, start: Start) -> None:
    start("-p", "second_look:=true", script="corrected")
    status, result = robot.ask(image=picture())
    assert (status, result.outcome, result.turns) == (GoalStatus.STATUS_SUCCEEDED, Result.FOUND, 4)
    trace = Trace.from_json(result.trace)
    assert [(look.mask_id, look.verdict) for look in trace.second_looks] == [(1, "no"), (2, "yes")]
    assert [turn.error_code for turn in trace.turns] == ["", "second_look", "", ""]
    assert trace.instance_ids == (2,)


def test_the_parameter_counts_from_the_next_goal_on(robot: Robot, start: Start) -> None:
    start(script="insists")
    _, before = robot.ask(image=picture())
    assert (before.outcome, before.turns) == (Result.FOUND, 2)
    assert robot.set_parameter("second_look", True).successful
    _, after = robot.ask(image=picture())
    assert (after.outcome, after.turns) == (Result.FOUND, 3)
    sure, doubted = (result.instances[0].confidence for result in (before, after))
    assert abs(doubted - REJECTED_FACTOR * sure) < 1e-6
    assert robot.set_parameter("min_confidence", 0.6).successful
    _, unsure = robot.ask(image=picture())
    assert (unsure.outcome, unsure.partial) == (Result.GAVE_UP, True)


def test_a_second_look_that_hangs_costs_time_and_not_the_answer(robot: Robot, start: Start) -> None:
    start("-p", "second_look:=true", script="hangs_looking_again")
    status, result = robot.ask(image=picture(), time_budget=1.0)
    assert (status, result.outcome, result.error_code) == (GoalStatus.STATUS_SUCCEEDED, Result.FOUND, Result.NONE)
    assert result.turns == 2
    (look,) = Trace.from_json(result.trace).second_looks
    assert (look.verdict, look.reason) == ("failed", "no time was left for it")
