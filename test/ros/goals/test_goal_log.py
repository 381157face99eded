"""The node's log: lines about goals in words and as JSON, their severity, and what Python's logging says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import Log
from ros_support import AgentProcess, Robot, Sink, picture
from rsagent_ros.msg import Result, Verdict

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


def logged(rosout: Sink, words: str) -> Log:
    """The first line that holds the words; waits for it."""
    found: Log = rosout.wait(1, lambda line: words in line.msg)[0]
    return found


def test_failures_are_warnings_and_errors(robot: Robot, start: Start) -> None:
    start()
    rosout = robot.listen(Log, "/rosout")
    robot.ask(id="well", image=picture())
    robot.ask("", id="senseless", image=picture())
    robot.ask(id="blind", time_budget=0.2)
    told = {name: logged(rosout, f"goal '{name}' ended") for name in ("well", "senseless", "blind")}
    assert {name: line.level for name, line in told.items()} == {
        "well": Log.INFO,
        "senseless": Log.WARN,
        "blind": Log.ERROR,
    }
    assert "NO_PUBLISHER" in told["blind"].msg


def test_one_turn_is_one_turn(robot: Robot, start: Start) -> None:
    agent = start(script="absent")
    robot.ask(id="7", image=picture())
    agent.wait_for("goal '7' ended as not_in_view: 1 turn, ")


def test_what_a_backend_raised_is_on_rosout_with_its_traceback(robot: Robot, start: Start) -> None:
    start(script="raises")
    rosout = robot.listen(Log, "/rosout")
    assert robot.ask(image=picture())[1].error_code == Result.POLICY_FAILED
    line = logged(rosout, "Traceback")
    assert (line.level, line.name) == (Log.ERROR, "agent")
    assert "rsagent_ros.agent.drive: the policy fake_policy raised an error" in line.msg
    assert "ValueError: a fault that was injected" in line.msg
