"""A goal by action, over DDS between two processes: from words to a mask, and every way it can end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray
from ros_support import REAL_AGENT, AgentProcess, Robot, SentGoal, picture
from rsagent_ros.msg import Mask, Result
from rsagent_ros.msg import Turn as TurnMessage
from std_msgs.msg import Header

from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.images import to_mask
from rsagent_ros.ros.camera.images import rgb_image

Start = Callable[..., AgentProcess]

SUCCEEDED, CANCELED, ABORTED = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED, GoalStatus.STATUS_ABORTED


def test_words_become_a_mask(robot: Robot, start: Start) -> None:
    start()
    camera = robot.camera(picture(64, 48))
    results, masks = robot.listen(Result, "/agent/result"), robot.listen(Mask, "/agent/mask")
    traces = robot.listen(TurnMessage, "/agent/trace")
    goal = robot.send("the red mug", id="goal-1")
    status, result = goal.result()
    assert (status, result.outcome, result.error_code) == (SUCCEEDED, Result.FOUND, Result.NONE)
    assert (result.goal_id, result.instruction) == ("goal-1", "the red mug")
    (found,) = result.instances
    expected = np.zeros((48, 64), bool)
    expected[12:36, 16:48] = True
    assert np.array_equal(to_mask(found.mask), expected)
    assert (found.area, found.track_id, found.has_pose) == (int(expected.sum()), -1, False)
    assert (found.roi.x_offset, found.roi.y_offset, found.roi.width, found.roi.height) == (16, 12, 32, 24)
    assert 0.0 < found.confidence <= 1.0
    assert result.header.frame_id == "camera"
    assert result.header.stamp.sec > 0
    assert found.mask.header == result.header
    assert (result.policy, result.segmenter, result.turns) == ("fake_policy", "fake_segmenter", 2)
    assert 0.0 < result.timings.frame <= result.timings.total
    trace = Trace.from_json(result.trace)
    assert (trace.goal_id, trace.width, trace.height, len(trace.turns)) == ("goal-1", 64, 48, 2)

    turns = [message.feedback.turn for message in goal.feedback.wait(2)]
    assert turns == traces.wait(2)
    assert [(turn.goal_id, turn.index, turn.tool) for turn in turns] == [
        ("goal-1", 1, "segment"),
        ("goal-1", 2, "finish"),
    ]
    assert [msgspec.json.decode(turn.record, type=Turn) for turn in turns] == list(trace.turns)
    assert turns[0].overlay.format == "jpeg"
    assert len(turns[0].overlay.data) > 100
    assert turns[0].header == result.header
    (by_topic,) = results.wait(1)
    assert (by_topic.goal_id, by_topic.outcome, by_topic.trace) == ("goal-1", Result.FOUND, result.trace)
    (mask,) = masks.wait(1)
    assert (mask.goal_id, mask.header, mask.image) == ("goal-1", result.header, found.mask)
    camera.stop()


@pytest.mark.parametrize(
    ("script", "fault", "status", "outcome", "error"),
    [
        ("absent", "none", SUCCEEDED, Result.NOT_IN_VIEW, Result.NONE),
        ("ambiguous", "none", SUCCEEDED, Result.AMBIGUOUS, Result.NONE),
        ("malformed", "none", SUCCEEDED, Result.FOUND, Result.NONE),
        ("never_ends", "none", SUCCEEDED, Result.GAVE_UP, Result.TURNS_SPENT),
        ("instant", "nan_score", SUCCEEDED, Result.GAVE_UP, Result.TURNS_SPENT),
        ("raises", "none", ABORTED, Result.FAILED, Result.POLICY_FAILED),
        ("out_of_memory", "none", ABORTED, Result.FAILED, Result.OUT_OF_MEMORY),
        ("breaks_off", "none", ABORTED, Result.FAILED, Result.POLICY_FAILED),
        ("instant", "raises", ABORTED, Result.FAILED, Result.SEGMENTER_FAILED),
        ("instant", "wrong_shape", ABORTED, Result.FAILED, Result.SEGMENTER_FAILED),
    ],
)
def test_every_outcome_has_its_action_state(
    robot: Robot, start: Start, script: str, fault: str, status: int, outcome: int, error: int
) -> None:
    start(script=script, fault=fault)
    ended, result = robot.ask(image=picture())
    assert (ended, result.outcome, result.error_code) == (status, outcome, error)
    assert bool(result.error_msg) == (error != Result.NONE)
    assert result.partial == (script in ("never_ends", "raises", "out_of_memory", "breaks_off"))
    assert bool(result.instances) == (outcome == Result.FOUND or result.partial)
    assert (bool(result.candidates), bool(result.question)) == (outcome == Result.AMBIGUOUS,) * 2
    assert bool(result.reason) == (outcome == Result.NOT_IN_VIEW)


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"instruction": "  "}, Result.INVALID_GOAL, "empty"),
        ({"time_budget": -1.0}, Result.INVALID_GOAL, "time_budget is -1 s; allowed: 0"),
        ({"time_budget": float("nan")}, Result.INVALID_GOAL, "time_budget is nan"),
        ({"id": "x" * 200}, Result.INVALID_GOAL, "at most 128 printable"),
        ({"track": True, "image": picture()}, Result.INVALID_GOAL, "can't be tracked: leave track and reground false"),
        ({"previous_id": "gone", "image": picture()}, Result.FOLLOW_UP_UNKNOWN, "'gone' can't be followed up: no such"),
        ({"camera": "left"}, Result.UNKNOWN_CAMERA, "'left'"),
        ({"image": picture(), "instruction": "x" * 3000}, Result.INVALID_GOAL, "3000 characters"),
    ],
)
def test_goals_that_make_no_sense(shared: Robot, fields: dict[str, Any], error: int, told: str) -> None:
    status, result = shared.ask(**({"instruction": "a thing"} | fields))
    assert (status, result.outcome, result.error_code) == (ABORTED, Result.FAILED, error)
    assert told in result.error_msg


def test_cancel_ends_a_goal_while_its_policy_hangs(robot: Robot, start: Start) -> None:
    agent = start("-p", "hang_grace:=0.3", script="hang")
    goal = robot.send(image=picture(), id="hangs", time_budget=300.0)
    goal.feedback.wait(1)
    assert goal.cancel().goals_canceling
    status, result = goal.result()
    assert (status, result.outcome, result.partial) == (CANCELED, Result.CANCELED, True)
    assert len(result.instances) == 1

    # The hung policy is waited for as long as the next goal has time.
    status, result = robot.ask(image=picture(), time_budget=0.5)
    assert (status, result.outcome, result.error_code) == (ABORTED, Result.FAILED, Result.MODEL_UNAVAILABLE)
    assert "fake_policy or fake_segmenter has hung" in result.error_msg
    agent.kick(signal.SIGUSR1)
    status, result = robot.ask(image=picture())
    assert (status, result.outcome) == (SUCCEEDED, Result.FOUND)


def test_a_goal_waits_for_a_late_policy_as_long_as_it_has_time(robot: Robot, start: Start) -> None:
    """As after a cancel on a busy machine: the call that is under way comes back late, but it does."""
    agent = start("-p", "hang_grace:=0.05", "-p", "diagnostics_period:=0.1", script="hang")
    late = robot.send(image=picture(), id="late", time_budget=300.0)
    late.feedback.wait(1)
    late.cancel()
    assert late.result()[0] == CANCELED
    waiting = robot.send(image=picture(), id="waits", time_budget=60.0)
    diagnostics = robot.listen(DiagnosticArray, "/diagnostics", 10)
    diagnostics.wait(3, lambda message: any("hung for" in status.message for status in message.status))
    agent.kick(signal.SIGUSR1)
    status, result = waiting.result()
    assert (status, result.outcome) == (SUCCEEDED, Result.FOUND)


def test_a_goal_is_known_by_the_uuid_of_its_action(robot: Robot, start: Start) -> None:
    start()
    goal = robot.send(image=picture())
    assert goal.result()[1].goal_id == bytes(goal.handle.goal_id.uuid).hex()


def test_feedback_says_what_happens_before_the_first_turn(robot: Robot, start: Start) -> None:
    start("-p", "queue_policy:=queue", script="slow")
    traces = robot.listen(TurnMessage, "/agent/trace")
    first = robot.send(id="first", time_budget=300.0)
    assert _progress(first, 1) == ["waiting for image"]
    second = robot.send(id="second", image=picture(), time_budget=300.0)
    assert _progress(second, 1) == ["queued"]
    robot.camera(picture())
    assert _progress(first, 2) == ["waiting for image", "thinking"]
    first.feedback.wait(1)
    first.cancel()
    assert _progress(second, 2) == ["queued", "thinking"]
    second.feedback.wait(1)
    second.cancel()
    assert second.result()[0] == CANCELED
    assert {turn.index for turn in traces.wait(2)} == {1}


def _progress(goal: SentGoal, count: int) -> list[str]:
    messages = [message.feedback.turn for message in goal.progress.wait(count)]
    assert {message.index for message in messages} == {0}
    return [message.thought for message in messages]


def test_an_unknown_goal_to_follow_up_is_refused_before_a_frame_is_waited_for(robot: Robot, start: Start) -> None:
    start("-p", "frame_timeout:=60.0", script="slow")
    running = robot.send(image=picture(), id="running", time_budget=300.0)
    running.feedback.wait(1)
    status, result = robot.ask(previous_id="gone", time_budget=300.0)  # there is no camera
    assert (status, result.outcome, result.error_code) == (ABORTED, Result.FAILED, Result.FOLLOW_UP_UNKNOWN)
    assert running.cancel().goals_canceling  # it was not pre-empted
    assert running.result()[1].outcome == Result.CANCELED


def test_time_runs_out_while_the_policy_hangs(robot: Robot, start: Start) -> None:
    start(script="hang")
    status, result = robot.ask(image=picture(), time_budget=0.5)
    assert (status, result.outcome, result.error_code) == (SUCCEEDED, Result.GAVE_UP, Result.TIME_SPENT)
    assert "0.5 s" in result.error_msg
    assert result.partial


def test_cancel_while_the_goal_waits_for_a_frame(robot: Robot, start: Start) -> None:
    start("-p", "frame_timeout:=60.0")
    goal = robot.send(time_budget=300.0)
    goal.cancel()
    status, result = goal.result()
    assert (status, result.outcome, result.turns) == (CANCELED, Result.CANCELED, 0)


def test_a_newer_action_goal_takes_the_place_of_the_older(robot: Robot, start: Start) -> None:
    start(script="slow")
    first = robot.send(image=picture(), id="first", time_budget=300.0)
    first.feedback.wait(1)
    second = robot.send(image=picture(), id="second", time_budget=300.0)
    status, result = first.result()
    assert (status, result.outcome, result.goal_id) == (ABORTED, Result.PREEMPTED, "first")
    assert "'second'" in result.error_msg
    second.feedback.wait(1)
    second.cancel()
    assert second.result()[0] == CANCELED


def test_an_id_that_is_running_is_refused(robot: Robot, start: Start) -> None:
    start(script="slow")
    first = robot.send(image=picture(), id="same", time_budget=300.0)
    first.feedback.wait(1)
    status, result = robot.ask(image=picture(), id="same")
    assert (status, result.outcome, result.error_code) == (ABORTED, Result.FAILED, Result.INVALID_GOAL)
    assert "'same' is running" in result.error_msg
    first.cancel()
    assert first.result()[0] == CANCELED


def test_a_flood_of_goals_ends_each_exactly_once(robot: Robot, start: Start) -> None:
    start()
    results = robot.listen(Result, "/agent/result", 1000)
    goals = [robot.send(image=picture(), id=str(number)) for number in range(100)]
    ends = [goal.result() for goal in goals]
    assert [result.goal_id for _, result in ends] == [str(number) for number in range(100)]
    assert {(status, result.outcome) for status, result in ends} <= {
        (SUCCEEDED, Result.FOUND),
        (ABORTED, Result.PREEMPTED),
    }
    assert (ends[-1][0], ends[-1][1].outcome) == (SUCCEEDED, Result.FOUND)
    told = [message.goal_id for message in results.wait(100)]
    assert sorted(told) == sorted(set(told))
    assert robot.ask(image=picture())[0] == SUCCEEDED


def test_goals_wait_for_their_turn_where_they_may(robot: Robot, start: Start) -> None:
    """More of them than the executor has threads: a goal that waits costs none."""
    start("-p", "queue_policy:=queue", "-p", "queue_length:=20", script="hang_at_once")
    results = robot.listen(Result, "/agent/result", 1000)
    first = robot.send(image=picture(), id="first", time_budget=300.0)
    diagnostics = robot.listen(DiagnosticArray, "/diagnostics", 10)
    goals = [robot.send(image=picture(), id=str(number), priority=number, time_budget=300.0) for number in range(15)]
    diagnostics.wait(1, lambda message: "waiting=15" in _values(message))
    goals[7].cancel()
    assert goals[7].result()[0] == CANCELED
    in_time = robot.send(image=picture(), id="short of time", time_budget=0.3)
    assert in_time.result()[1].error_code == Result.TIME_SPENT
    first.cancel()
    assert first.result()[0] == CANCELED
    for goal in reversed(goals):
        goal.cancel()
    assert [goal.result()[0] for goal in goals] == [CANCELED] * 15
    assert len(results.wait(17)) == 17


def _values(message: DiagnosticArray) -> list[str]:
    return [f"{value.key}={value.value}" for status in message.status for value in status.values]


def test_goals_are_refused_while_another_runs(robot: Robot, start: Start) -> None:
    start("-p", "queue_policy:=reject", script="slow")
    first = robot.send(image=picture(), id="first", time_budget=300.0)
    first.feedback.wait(1)
    status, result = robot.ask(image=picture(), id="second")
    assert (status, result.outcome, result.error_code) == (ABORTED, Result.FAILED, Result.REJECTED_BUSY)
    first.cancel()
    assert first.result()[0] == CANCELED


def test_a_follow_up_answers_the_question_of_an_ambiguous_goal(domain: int, robot: Robot) -> None:
    image = np.full((240, 320, 3), 200, np.uint8)
    for left in (40, 190):
        image[80:150, left : left + 70] = 200, 30, 40
    with AgentProcess(domain, "-p", "warm_up:=false", program=[str(REAL_AGENT)]) as agent:
        agent.ready()
        _, asked = robot.ask("the red square", id="first", image=rgb_image(image, Header()))
        assert (asked.outcome, len(asked.candidates)) == (Result.AMBIGUOUS, 2)
        status, result = robot.ask("the left one", previous_id="first", image=rgb_image(image, Header()))
        assert (status, result.outcome) == (SUCCEEDED, Result.FOUND)
        assert abs(result.instances[0].roi.x_offset - 40) < 5
        previous = Trace.from_json(result.trace).previous
        assert [(one.instruction, one.question) for one in previous] == [("the red square", asked.question)]
        _, unsure = robot.ask("the red mug", id="second", image=rgb_image(image, Header()))
        assert (unsure.outcome, unsure.error_code) == (Result.GAVE_UP, Result.NOT_UNDERSTOOD)
        status, chosen = robot.ask("the right one", previous_id="second", image=rgb_image(image, Header()))
        assert (status, chosen.outcome) == (SUCCEEDED, Result.FOUND)
        assert abs(chosen.instances[0].roi.x_offset - 190) < 5
        assert Trace.from_json(chosen.trace).previous[0].question == unsure.reason
        status, result = robot.ask("the left one", previous_id=result.goal_id, image=rgb_image(image, Header()))
        assert (status, result.error_code) == (ABORTED, Result.FOLLOW_UP_UNKNOWN)
        assert "ended as found and asked nothing" in result.error_msg
