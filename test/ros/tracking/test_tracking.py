"""Masks that stay on their objects, over DDS: caught up with, tracked, and ended in every way."""

from __future__ import annotations

from pathlib import Path

import cv2
import psutil
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from filming import FilmCamera, Shots
from lifecycle_msgs.msg import Transition
from ros_support import AgentProcess, Robot, Sink, picture, until
from rsagent_ros.msg import Result, TrackedMask
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from tracked_masks import (
    RELIABLE,
    STOPPED,
    TRACKING,
    Film_,
    Start,
    follow,
    in_state,
    newest,
    overlap,
    tracked,
    values,
)

from rsagent_ros.agent.mask import iou
from rsagent_ros.images import to_mask
from rsagent_ros.ros.client import Agent
from rsagent_ros.ros.stamps import nanoseconds, stamp

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
