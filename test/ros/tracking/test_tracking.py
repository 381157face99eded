"""Masks that stay on their thing, over DDS: caught up with, followed, lost, found again, and ended in every way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from filming import FilmCamera, Shots, shots_of
from lifecycle_msgs.msg import Transition
from moving_pictures import Film
from ros_support import AgentProcess, Robot, Sink, picture, until
from rsagent_ros.msg import Result, TrackedMask, Turn
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.images import to_mask
from rsagent_ros.ros.client import Agent
from rsagent_ros.ros.conversions import nanoseconds, stamp

Start = Callable[..., AgentProcess]
Film_ = Callable[..., FilmCamera]

MOVING = Film(pan=(1.5, 0.5))
TRACKING, LOST, STOPPED = TrackedMask.TRACKING, TrackedMask.LOST, TrackedMask.STOPPED
RELIABLE = 20
"""Depth of a reliable subscription, without the past."""


def tracked(robot: Robot) -> Sink:
    return robot.listen(TrackedMask, "/agent/tracked_mask", RELIABLE)


def overlap(message: TrackedMask, camera: FilmCamera) -> float:
    """IoU of a mask with the truth at its own stamp."""
    truth: Mask = camera.truth[nanoseconds(message.header.stamp)]
    return iou(to_mask(message.image), truth)


def follow(robot: Robot, **fields: Any) -> Result:
    """Send a goal that tracks; returns its result, FOUND."""
    _, result = robot.ask(**{"track": True, "time_budget": 15.0} | fields)
    assert result.outcome == Result.FOUND, result.error_msg
    return result


def newest(masks: Sink) -> int:
    """Stamp of the last mask, nanoseconds; 0 before the first."""
    return nanoseconds(masks.messages[-1].header.stamp) if masks.messages else 0


def in_state(state: int) -> Callable[[TrackedMask], bool]:
    return lambda message: message.state == state


def values(message: DiagnosticArray) -> dict[str, str]:
    return {pair.key: pair.value for status in message.status for pair in status.values}


def bigger(shots: Shots) -> Shots:
    return [tuple(np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1) for pixels in shot) for shot in shots]  # type: ignore[misc]


# --- it stays on its thing


@pytest.mark.parametrize("mode", ["on_demand", "always"])
def test_the_mask_stays_on_its_thing(robot: Robot, start: Start, film: Film_, moving: Shots, mode: str) -> None:
    start("-p", f"camera_mode:={mode}", script="filmed")
    masks = tracked(robot)
    camera = film(moving)
    result = follow(robot, id="mine")
    (found,) = result.instances
    assert found.track_id > 0
    camera.play(lambda: newest(masks))
    until(lambda: camera.index == len(moving))
    last = max(camera.truth)
    masks.wait(1, lambda message: nanoseconds(message.header.stamp) > last)
    seen = list(masks.messages)
    assert {(message.goal_id, message.track_id, message.state) for message in seen} == {
        ("mine", found.track_id, TRACKING)
    }
    assert min(overlap(message, camera) for message in seen) >= 0.8
    stamps = [nanoseconds(message.header.stamp) for message in seen]
    assert stamps == sorted(set(stamps))
    assert stamps[0] >= nanoseconds(result.header.stamp)
    ages = [message.age for message in seen]
    assert ages == pytest.approx([(one - nanoseconds(result.header.stamp)) / 1e9 for one in stamps], abs=1e-3)
    roi, mask = seen[-1].roi, to_mask(seen[-1].image)
    assert mask[roi.y_offset : roi.y_offset + roi.height, roi.x_offset : roi.x_offset + roi.width].sum() == mask.sum()


@pytest.mark.parametrize("mode", ["on_demand", "always"])
def test_what_moved_while_the_agent_thought_is_caught_up_with(
    robot: Robot, start: Start, film: Film_, moving: Shots, mode: str
) -> None:
    start("-p", f"camera_mode:={mode}", script="filmed_slowly")
    masks = tracked(robot)
    camera = film(moving)
    goal = robot.send(track=True, time_budget=15.0)
    goal.feedback.wait(1)
    camera.play()
    _, result = goal.result()
    assert result.outcome == Result.FOUND
    stale = to_mask(result.instances[0].mask)
    first, *_ = masks.wait(1)
    now = camera.truth[nanoseconds(first.header.stamp)]
    assert first.state == TRACKING
    assert iou(stale, now) < 0.6 < 0.8 <= overlap(first, camera)
    assert nanoseconds(first.header.stamp) - nanoseconds(result.header.stamp) > 1_000_000_000


def test_a_goal_that_names_a_past_stamp_is_followed_from_there(
    robot: Robot, start: Start, film: Film_, moving: Shots
) -> None:
    start("-p", "camera_mode:=always", "-p", "stamp_tolerance:=0.02", script="filmed")
    masks = tracked(robot)
    camera = film(moving)
    diagnostics = robot.listen(DiagnosticArray, "/diagnostics", 10)
    diagnostics.wait(1, lambda message: int(values(message)["frames buffered"]) >= 3)
    past = max(camera.truth)
    camera.play()
    until(lambda: camera.index >= 25)
    result = follow(robot, stamp=stamp(past))
    assert abs(nanoseconds(result.header.stamp) - past) <= 20_000_000
    first, *_ = masks.wait(1)
    assert nanoseconds(first.header.stamp) - past > 500_000_000
    assert overlap(first, camera) >= 0.8


def test_compressed_images_are_followed_too(robot: Robot, start: Start, moving: Shots) -> None:
    start("-p", "image_transport:=compressed", script="filmed")
    masks = tracked(robot)
    jpegs = [cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes() for rgb, _ in moving[:10]]
    message = CompressedImage(format="jpeg", data=jpegs[0])
    camera = robot.camera(message, "/image/compressed")
    result = follow(robot)
    for jpeg in jpegs:
        camera.message = CompressedImage(format="jpeg", data=jpeg)
        latest = masks.messages[-1:]
        masks.wait(len(masks.messages) + 2)
    assert iou(to_mask(masks.messages[-1].image), moving[9][1]) >= 0.8, latest
    assert masks.messages[-1].track_id == result.instances[0].track_id
    camera.message = CompressedImage(format="jpeg", data=b"\xff\xd8 broken")
    robot.camera(CompressedImage(format="jpeg", data=jpegs[-1]), "/image/compressed")
    count = len(masks.messages)
    masks.wait(count + 5)
    assert {message.state for message in masks.messages[count:]} == {TRACKING}


def test_a_network_follows_too(domain: int, robot: Robot, film: Film_, still: Shots, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the tracker sam2_video needs torch")
    from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2_video

    save_tiny_sam2_video(tmp_path / "video")
    chosen = ("-p", "tracker:=sam2_video", "-p", f"sam2.checkpoint:={tmp_path / 'video'}", "-p", "sam2.device:=cpu")
    diagnostics, masks = Sink(), Sink()
    robot.node.create_subscription(DiagnosticArray, "/diagnostics", diagnostics, 10)
    robot.node.create_subscription(TrackedMask, "/agent/tracked_mask", masks, RELIABLE)
    with AgentProcess(domain, *chosen, script="filmed") as agent:
        with Agent(node=robot.node) as client:
            client.wait_until_active(90.0)  # torch alone takes many seconds to be imported on a busy machine
        film(still)
        track_id = follow(robot).instances[0].track_id
        # It was never trained: what it sees is nonsense, and may be nothing.
        assert {message.track_id for message in masks.wait(3)} == {track_id}
        diagnostics.wait(1, lambda message: values(message).get("tracker", "").startswith("sam2_video:video"))
        agent.wait_for(f"track {track_id} of goal ")


def test_a_network_without_a_checkpoint_is_named(domain: int, robot: Robot) -> None:
    with AgentProcess(domain, "-p", "tracker:=sam2_video") as agent:
        agent.wait_for("the models could not be loaded: sam2.checkpoint is empty; name a folder")
        until(lambda: robot.state() == "unconfigured")


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


# --- how it ends


def test_a_newer_goal_that_tracks_takes_the_place_when_it_has_found_something(
    robot: Robot, start: Start, film: Film_, still: Shots
) -> None:
    start(script="filmed")
    masks = tracked(robot)
    film(still)
    first = follow(robot, id="first").instances[0].track_id
    masks.wait(2)
    assert robot.ask(id="other")[1].instances[0].track_id == -1
    masks.wait(len(masks.messages) + 2, lambda message: message.state == TRACKING)
    second = follow(robot, id="second").instances[0].track_id
    masks.wait(2, lambda message: message.goal_id == "second")
    assert second > first
    states = [(message.goal_id, message.state) for message in masks.messages]
    assert states.index(("first", STOPPED)) == states.index(("second", TRACKING)) - 1


@pytest.mark.parametrize("goal_id", ["mine", ""])
def test_a_planner_stops_it(robot: Robot, start: Start, film: Film_, still: Shots, goal_id: str) -> None:
    start(script="filmed")
    masks = tracked(robot)
    film(still)
    follow(robot, id="mine")
    masks.wait(1)
    stop = robot.publisher(String, "/agent/stop_tracking")
    stop.publish(String(data="another"))
    masks.wait(len(masks.messages) + 3, in_state(TRACKING))
    stop.publish(String(data=goal_id))
    (stopped,) = masks.wait(1, in_state(STOPPED))
    assert stopped.goal_id == "mine"
    assert masks.messages[-1] is stopped
    until(lambda: robot.node.count_subscribers("/image") == 0)


def test_goals_are_cancelled_while_something_is_followed(robot: Robot, start: Start, film: Film_, still: Shots) -> None:
    start(script="filmed_slowly")
    masks = tracked(robot)
    film(still)
    follow(robot, id="mine")
    goal = robot.send(time_budget=60.0)
    goal.feedback.wait(1)
    goal.cancel()
    assert goal.result()[1].outcome == Result.CANCELED
    count = len(masks.messages)
    masks.wait(count + 3)
    assert {(message.goal_id, message.state) for message in masks.messages} == {("mine", TRACKING)}


@pytest.mark.parametrize("script", ["absent", "ambiguous", "raises"])
def test_what_is_not_found_is_not_followed(robot: Robot, start: Start, film: Film_, still: Shots, script: str) -> None:
    start(script=script)
    film(still)
    _, result = robot.ask(track=True)
    assert result.outcome != Result.FOUND
    assert [one.track_id for one in [*result.instances, *result.candidates] if one.track_id != -1] == []
    until(lambda: robot.node.count_subscribers("/image") == 0)


def test_an_image_of_ones_own_cannot_be_followed(shared: Robot) -> None:
    _, result = shared.ask(track=True, image=picture())
    assert (result.outcome, result.error_code) == (Result.FAILED, Result.INVALID_GOAL)
    assert "leave track and reground false" in result.error_msg


def test_many_rounds_of_the_lifecycle_leave_no_thread_and_no_track(domain: int, start: Start, still: Shots) -> None:
    agent = start(script="filmed")
    process = psutil.Process(agent.process.pid)
    with Robot(domain) as robot, FilmCamera(robot.node, still):
        masks = tracked(robot)
        threads = []
        for number in range(20):
            track_id = follow(robot, id=str(number)).instances[0].track_id
            until(lambda wanted=track_id: any(message.track_id == wanted for message in masks.messages))  # type: ignore[misc]
            threads.append(process.num_threads())
            assert robot.change_state(Transition.TRANSITION_DEACTIVATE)
            masks.wait(number + 1, in_state(STOPPED))
            until(lambda: robot.node.count_subscribers("/image") == 0)
            assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        stopped = [message.track_id for message in masks.messages if message.state == STOPPED]
        assert stopped == sorted(set(stopped))
        assert len(stopped) == 20
        assert "tracking failed" not in agent.log
        # The executor starts its few threads when it first needs them; a leak would start one in each round.
        assert max(threads[10:]) - max(threads[:10]) < 5


def test_diagnostics_say_what_is_followed(robot: Robot, start: Start, film: Film_, still: Shots) -> None:
    start("-p", "diagnostics_period:=0.1", script="filmed")
    diagnostics = robot.listen(DiagnosticArray, "/diagnostics", 10)
    film(still)
    follow(robot, id="mine")
    (message, *_) = diagnostics.wait(1, lambda message: float(values(message).get("frames per second", 0)) > 0)
    told = values(message)
    assert (told["tracker"], told["followed"], told["lost"], told["goal"]) == ("classical", "1", "0", "mine")
    assert float(told["seconds since the last frame"]) < 1.0
    assert told["no pose because"] == "there is no depth image with the image's stamp and size"
