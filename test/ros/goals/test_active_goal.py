"""An active goal ends exactly once, and says once that it has begun."""

from __future__ import annotations

import pytest
from rsagent_ros.msg import Goal
from rsagent_ros.msg import Result as ResultMessage

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.parameters import NodeParameters


def test_a_run_ends_once_and_the_first_reason_counts() -> None:
    goal = ActiveGoal(GoalRequest.of(Goal(id="a", instruction="a thing"), "topic"), NodeParameters())
    goal.stop(Outcome.CANCELED)
    goal.stop(Outcome.SHUTDOWN)
    assert goal.ending is not None
    assert goal.ending.outcome is Outcome.CANCELED
    assert goal.wakeup.stopped
    goal.close(ResultMessage())
    with pytest.raises(RuntimeError, match="'a' was about to end twice"):
        goal.close(ResultMessage())


def test_who_waits_for_a_goal_to_begin_is_told_once() -> None:
    begun: list[str] = []
    request = GoalRequest.of(Goal(), "action")
    worked_on = ActiveGoal(request, NodeParameters(), on_begin=lambda: begun.append("worked on"))
    refused = ActiveGoal(request, NodeParameters(), on_begin=lambda: begun.append("refused"))
    worked_on.begin()
    worked_on.close(ResultMessage())
    refused.close(ResultMessage())
    assert begun == ["worked on", "refused"]
