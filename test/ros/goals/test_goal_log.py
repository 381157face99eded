"""The node's log about goals as JSON: what a log collector can rely on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ros_support import AgentProcess, Robot, picture
from rsagent_ros.msg import Verdict

Start = Callable[..., AgentProcess]


def events(agent: AgentProcess) -> list[dict[str, Any]]:
    return [json.loads(line[line.index("{") :]) for line in agent.log.splitlines() if '"goal_id"' in line]


def test_each_event_of_a_goal_is_one_json_object(robot: Robot, start: Start) -> None:
    agent = start("-p", "log_format:=json")
    robot.ask('the "red"\nmug', id="7", image=picture())
    verdicts = robot.publisher(Verdict, "/agent/verdict")
    verdicts.publish(Verdict(goal_id="7", source=Verdict.OPERATOR, accepted=True, note="yes"))
    agent.wait_for('"judged"')
    verdicts.publish(Verdict(goal_id="8", source=Verdict.OPERATOR, accepted=True))
    agent.wait_for('"verdict_refused"')
    asked, ended, judged, refused = events(agent)
    assert asked == {
        "event": "asked", "goal_id": "7", "source": "action", "instruction": 'the "red"\nmug', "camera": "",
    }  # fmt: skip
    assert (ended["event"], ended["goal_id"], ended["outcome"], ended["error_code"]) == ("ended", "7", "found", "NONE")
    assert (ended["turns"], ended["degraded"]) == (2, False)
    assert 0 < ended["seconds"] < 60
    assert judged == {
        "event": "judged", "goal_id": "7", "accepted": True, "absent": False, "source": "operator", "note": "yes",
    }  # fmt: skip
    assert (refused["event"], refused["goal_id"]) == ("verdict_refused", "8")


def test_in_words_it_is_for_people(robot: Robot, start: Start) -> None:
    agent = start()
    robot.ask("the mug", id="7", image=picture())
    agent.wait_for("goal '7' ended as found: 2 turns")
    assert "goal '7' by action: 'the mug'" in agent.log
    robot.set_parameter("log_format", "json")
    robot.ask("the mug", id="8", image=picture())
    agent.wait_for('"event": "ended", "goal_id": "8"')


def test_what_is_logged_of_what_was_sent_is_bounded(robot: Robot, start: Start) -> None:
    agent = start("-p", "log_format:=json")
    robot.ask("a thing", id="x" * 100_000, image=picture())
    robot.ask("a thing", id="7", camera="y" * 100_000)
    agent.wait_for('"ended", "goal_id": "7"')
    assert max(map(len, agent.log.splitlines())) < 2_000
