"""A goal's id: as given, else the action's own, else a new one."""

from __future__ import annotations

from rsagent_ros.msg import Goal

from rsagent_ros.ros.goals.goal_request import GoalRequest


def test_an_id_is_made_where_none_is_given() -> None:
    first, second = GoalRequest.of(Goal(), "topic"), GoalRequest.of(Goal(), "topic")
    assert first.id
    assert first.id != second.id


def test_the_uuid_of_an_action_is_the_id_where_the_client_gives_none() -> None:
    uuid = bytes(range(16))
    assert GoalRequest.of(Goal(), "action", uuid).id == "000102030405060708090a0b0c0d0e0f"
    assert GoalRequest.of(Goal(id="mine"), "action", uuid).id == "mine"
