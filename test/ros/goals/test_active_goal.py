"""What a goal asks for, and that it ends exactly once."""

from __future__ import annotations

import pytest
from rsagent_ros.msg import Goal
from rsagent_ros.msg import Result as ResultMessage

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.ros.goals.active_goal import ActiveGoal, GoalRequest
from rsagent_ros.ros.parameters import NodeParameters


def test_a_run_ends_once_and_the_first_reason_counts() -> None:
    run = ActiveGoal(GoalRequest.of(Goal(id="a", instruction="a thing"), "topic"), NodeParameters())
    run.stop(Outcome.CANCELED)
    run.stop(Outcome.SHUTDOWN)
    assert run.ending is not None
    assert run.ending.outcome is Outcome.CANCELED
    run.close(ResultMessage())
    with pytest.raises(RuntimeError, match="'a' was about to end twice"):
        run.close(ResultMessage())


def test_an_id_is_made_where_none_is_given() -> None:
    first, second = GoalRequest.of(Goal(), "topic"), GoalRequest.of(Goal(), "topic")
    assert first.id
    assert first.id != second.id


def test_who_waits_for_a_run_to_begin_is_told_once() -> None:
    begun: list[str] = []
    worked_on = ActiveGoal(
        GoalRequest.of(Goal(), "action"), NodeParameters(), on_begin=lambda: begun.append("worked on")
    )
    refused = ActiveGoal(GoalRequest.of(Goal(), "action"), NodeParameters(), on_begin=lambda: begun.append("refused"))
    worked_on.begin()
    worked_on.close(ResultMessage())
    refused.close(ResultMessage())
    assert begun == ["worked on", "refused"]
