"""Objects that are lost, over DDS: found again by the tracker or by the agent, or stopped."""

from __future__ import annotations

import pytest
from filming import Shots, shots_of
from moving_pictures import Film
from ros_support import Robot, until
from rsagent_ros.msg import Result, Turn
from tracked_masks import (
    LOST,
    STOPPED,
    TRACKING,
    Film_,
    Start,
    bigger,
    follow,
    in_state,
    overlap,
    tracked,
)

from rsagent_ros.images import to_mask
from rsagent_ros.ros.stamps import nanoseconds

# --- lost, and found again


def test_a_hidden_thing_is_lost_and_found_again_under_the_same_id(
    robot: Robot, start: Start, film: Film_, still: Shots
) -> None:
    agent = start(script="filmed")
    masks = tracked(robot)
    camera = film(still)
    track_id = follow(robot).instances[0].track_id
    masks.wait(2, in_state(TRACKING))
    camera.change(shots_of(Film(pan=(0.5, 0.0), shutter=(5, 15)), 40), play=True)
    lost = masks.wait(3, in_state(LOST))
    assert all(not to_mask(message.image).any() and message.score == 0.0 for message in lost)
    assert {(message.image.width, message.image.height) for message in lost} == {(320, 240)}
    last = masks.messages.index(lost[-1])
    until(lambda: masks.messages[last:][-1].state == TRACKING)
    assert overlap(masks.messages[-1], camera) >= 0.8
    assert {message.track_id for message in masks.messages} == {track_id}
    agent.wait_for(f"track {track_id} of goal ")
    agent.wait_for("is lost: ")
    agent.wait_for("found again")


def test_what_is_lost_for_too_long_is_stopped_and_the_camera_is_left(
    robot: Robot, start: Start, film: Film_, still: Shots
) -> None:
    agent = start("-p", "track_lost_timeout:=0.3", script="filmed")
    masks = tracked(robot)
    camera = film(still)
    follow(robot)
    masks.wait(2, in_state(TRACKING))
    until(lambda: robot.node.count_subscribers("/image") == 1)
    camera.change(shots_of(Film(shutter=(0, 0)), 1))
    masks.wait(1, in_state(LOST))
    masks.wait(1, in_state(STOPPED))
    agent.wait_for("stopped: it was lost for more than 0.3 s")
    until(lambda: robot.node.count_subscribers("/image") == 0)


def test_a_camera_that_is_unplugged_loses_everything_until_it_is_back(
    robot: Robot, start: Start, film: Film_, still: Shots
) -> None:
    agent = start("-p", "max_frame_age:=0.5", script="filmed")
    masks = tracked(robot)
    camera = film(still)
    follow(robot)
    masks.wait(2, in_state(TRACKING))
    camera.unplug()
    masks.wait(1, in_state(LOST))
    agent.wait_for("no image has come for 0.5 s")
    again = film(still)
    before = len(masks.messages)
    until(lambda: any(message.state == TRACKING for message in masks.messages[before:]))
    assert overlap(masks.messages[-1], again) >= 0.8


def test_a_camera_that_changes_its_size_loses_the_thing_for_good(
    robot: Robot, start: Start, film: Film_, still: Shots
) -> None:
    agent = start("-p", "track_lost_timeout:=1.0", script="filmed")
    masks = tracked(robot)
    camera = film(still)
    follow(robot)
    masks.wait(2, in_state(TRACKING))
    camera.change(bigger(still))
    masks.wait(1, in_state(LOST))
    agent.wait_for("is lost: the camera's images changed from 320 x 240 to 640 x 480")
    camera.change(still)
    masks.wait(1, in_state(STOPPED))
    last = max(index for index, message in enumerate(masks.messages) if message.state == TRACKING)
    assert masks.messages[last + 1].state == LOST
    assert [message.state for message in masks.messages[last + 1 :]].count(TRACKING) == 0


def test_a_clock_that_jumps_back_loses_the_thing_and_the_agent_finds_it(
    robot: Robot, start: Start, film: Film_, still: Shots
) -> None:
    agent = start("-p", "max_frame_age:=60.0", "-p", "reground_after:=0.1", script="filmed")
    masks = tracked(robot)
    camera = film(still)
    track_id = follow(robot, reground=True).instances[0].track_id
    masks.wait(2, in_state(TRACKING))
    camera.offset_ns = -30_000_000_000
    masks.wait(1, in_state(LOST))
    agent.wait_for("is lost: the camera's stamps went back by ")
    before = len(masks.messages)
    until(lambda: any(message.state == TRACKING for message in masks.messages[before:]))
    assert masks.messages[-1].track_id == track_id
    assert overlap(masks.messages[-1], camera) >= 0.8


# --- the agent looks again


def test_the_agent_looks_again_and_the_track_goes_on_under_its_id(
    robot: Robot, start: Start, film: Film_, still: Shots
) -> None:
    start("-p", "reground_after:=0.2", script="filmed")
    masks, results = tracked(robot), robot.listen(Result, "/agent/result")
    camera = film(still)
    track_id = follow(robot, id="mine", reground=True).instances[0].track_id
    camera.change(bigger(still))  # the old track can't go on
    masks.wait(1, in_state(LOST))
    masks.wait(3, lambda message: message.state == TRACKING and message.image.width == 640)
    assert {(message.track_id, message.goal_id) for message in masks.messages} == {(track_id, "mine")}
    assert overlap(masks.messages[-1], camera) >= 0.8
    (looked,) = results.wait(1, lambda result: result.goal_id == "mine/look-1")
    assert (looked.outcome, looked.instances[0].track_id) == (Result.FOUND, track_id)
    newest = masks.messages[-1]
    assert newest.age == pytest.approx(
        (nanoseconds(newest.header.stamp) - nanoseconds(looked.header.stamp)) / 1e9, abs=1e-3
    )


def test_it_does_not_look_for_ever(robot: Robot, start: Start, film: Film_, still: Shots) -> None:
    start(
        *("-p", "reground_after:=0.05", "-p", "reground_tries:=2", "-p", "track_lost_timeout:=2.5"),
        *("-p", "max_turns:=2"),
        script="filmed",
        fault="none",
    )
    masks, results = tracked(robot), robot.listen(Result, "/agent/result")
    camera = film(still)
    follow(robot, id="mine", reground=True)
    masks.wait(1, in_state(TRACKING))
    camera.unplug()  # every look ends as FAILED
    assert robot.set_parameter("frame_timeout", 0.1).successful
    masks.wait(1, in_state(STOPPED))
    looks = [result for result in results.messages if "/look-" in result.goal_id]
    assert [look.goal_id for look in looks] == ["mine/look-1", "mine/look-2"]
    assert {look.error_code for look in looks} == {Result.NO_PUBLISHER}


def test_a_goal_of_somebody_elses_comes_first(robot: Robot, start: Start, film: Film_, still: Shots) -> None:
    start("-p", "reground_after:=0.1", "-p", "track_lost_timeout:=60.0", script="filmed_slowly")
    masks, results, turns = tracked(robot), robot.listen(Result, "/agent/result"), robot.listen(Turn, "/agent/trace")
    camera = film(still)
    follow(robot, id="mine", reground=True)
    masks.wait(1, in_state(TRACKING))
    camera.change(bigger(still))
    turns.wait(1, lambda turn: turn.goal_id == "mine/look-1")  # its second one takes 1.5 s
    robot.say(id="urgent", time_budget=15.0)
    (urgent,) = results.wait(1, lambda result: result.goal_id == "urgent")
    (look,) = results.wait(1, lambda result: result.goal_id == "mine/look-1")
    assert (urgent.outcome, look.outcome) == (Result.FOUND, Result.PREEMPTED)
    results.wait(1, lambda result: result.goal_id == "mine/look-2" and result.outcome == Result.FOUND)
