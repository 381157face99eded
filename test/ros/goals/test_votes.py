"""Votes in the node: the parameters, who wins, a voter that hangs, and a cancel in the middle."""

from __future__ import annotations

from collections.abc import Callable

from action_msgs.msg import GoalStatus
from ros_support import AgentProcess, Robot, picture
from rsagent_ros.msg import Result

from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.turn import Trace

Start = Callable[..., AgentProcess]


def test_the_first_answer_can_be_outvoted(robot: Robot, start: Start) -> None:
    start("-p", "votes:=4", script="outvoted")
    status, result = robot.ask(image=picture(), time_budget=30.0)
    assert (status, result.outcome) == (GoalStatus.STATUS_SUCCEEDED, Result.NOT_IN_VIEW)
    trace = Trace.from_json(result.trace)
    assert trace.all_attempts[0].outcome is Outcome.FOUND
    assert trace.votes[0] == 2
    assert trace.votes.count(1) == 3


def test_without_the_parameter_nobody_votes(robot: Robot, start: Start) -> None:
    start(script="outvoted")
    _, result = robot.ask(image=picture())
    assert (result.outcome, Trace.from_json(result.trace).attempts) == (Result.FOUND, ())
    assert not robot.set_parameter("votes", 17).successful
    assert not robot.set_parameter("votes_seconds", 0.0).successful
    assert robot.set_parameter("votes", 2).successful


def test_voters_that_hang_hold_up_the_first_answer_no_longer_than_they_may(robot: Robot, start: Start) -> None:
    start("-p", "votes:=3", "-p", "votes_seconds:=0.3", script="hangs_voting")
    status, result = robot.ask(image=picture(), time_budget=30.0)
    assert (status, result.outcome, result.turns) == (GoalStatus.STATUS_SUCCEEDED, Result.FOUND, 2)
    trace = Trace.from_json(result.trace)
    assert (trace.attempt, trace.votes) == (1, (1, 0, 0))
    assert {one.error_code for one in trace.attempts} == {ErrorCode.TIME_SPENT}


def test_a_cancel_ends_the_vote(robot: Robot, start: Start) -> None:
    start("-p", "votes:=3", "-p", "votes_seconds:=600.0", script="hangs_voting")
    sent = robot.send(image=picture(), time_budget=60.0)
    sent.feedback.wait(2)
    sent.cancel()
    status, result = sent.result()
    assert (status, result.outcome, result.partial) == (GoalStatus.STATUS_CANCELED, Result.CANCELED, True)
    assert len(result.instances) == 1


def test_the_goal_s_deadline_comes_first(robot: Robot, start: Start) -> None:
    start("-p", "votes:=3", "-p", "votes_seconds:=600.0", script="hangs_voting")
    _, result = robot.ask(image=picture(), time_budget=1.0)
    assert (result.outcome, result.error_code) == (Result.FOUND, Result.NONE)
