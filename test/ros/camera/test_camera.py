"""Camera input over DDS: waiting, staleness, stamps, QoS, and images that are broken or change."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from ros_support import BEST_EFFORT, AgentProcess, Robot, Sink, image_of, picture, until
from rosgraph_msgs.msg import Clock
from rsagent_ros.msg import Result
from sensor_msgs.msg import CompressedImage, Image

from rsagent_ros.ros.stamps import nanoseconds, stamp

Start = Callable[..., AgentProcess]

SUCCEEDED, ABORTED = GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_ABORTED


def seen_by(robot: Robot) -> Sink:
    """The camera's stamps as another subscriber sees them."""
    return robot.listen(Image, "/image", BEST_EFFORT)


def shifted(robot: Robot, seconds: float) -> Callable[[], Time]:
    """Stamps of a camera whose clock is off."""
    return lambda: (robot.node.get_clock().now() + Duration(seconds=seconds)).to_msg()


def buffering(robot: Robot, frames: int = 3) -> None:
    """Wait until the agent has that many frames in its buffer."""
    diagnostics = robot.listen(DiagnosticArray, "/diagnostics", 10)

    def enough(message: DiagnosticArray) -> bool:
        values = {pair.key: pair.value for status in message.status for pair in status.values}
        return int(values["frames buffered"]) >= frames

    diagnostics.wait(1, enough)


# --- nothing to look at


def test_nobody_publishes(robot: Robot, start: Start) -> None:
    start("-p", "frame_timeout:=0.3", "-r", "image:=/camera/image")
    status, result = robot.ask()
    assert (status, result.outcome, result.error_code) == (ABORTED, Result.FAILED, Result.NO_PUBLISHER)
    assert "no publisher on /camera/image" in result.error_msg


def test_publisher_is_best_effort_and_we_asked_for_reliable(robot: Robot, start: Start) -> None:
    start("-p", "image_reliability:=reliable", "-p", "frame_timeout:=0.5")
    robot.camera(picture(), qos=BEST_EFFORT)
    until(lambda: robot.ask()[1].error_code == Result.QOS_MISMATCH)
    _, result = robot.ask()
    assert "no frame on /image: the publisher is best-effort, we asked for reliable" in result.error_msg


def test_camera_stops_before_the_frame(robot: Robot, start: Start) -> None:
    start("-p", "frame_timeout:=0.5")
    camera = robot.camera(picture())
    assert robot.ask()[1].outcome == Result.FOUND
    camera.pause()
    _, result = robot.ask()
    assert (result.outcome, result.error_code) == (Result.FAILED, Result.NO_FRAME)
    assert "1 publisher(s) on /image" in result.error_msg
    camera.stop()
    until(lambda: robot.ask()[1].error_code == Result.NO_PUBLISHER)


def test_another_type_on_the_topic_is_named(robot: Robot, start: Start) -> None:
    start("-p", "frame_timeout:=0.5")
    robot.camera(CompressedImage(format="jpeg"), "/image")
    until(lambda: robot.ask()[1].error_code == Result.NO_FRAME)
    _, result = robot.ask()
    assert "of sensor_msgs/msg/CompressedImage" in result.error_msg


def test_camera_dies_after_the_frame_and_the_goal_goes_on(robot: Robot, start: Start) -> None:
    start(script="slow")
    camera = robot.camera(picture())
    goal = robot.send(time_budget=1.0)
    goal.feedback.wait(1)
    camera.stop()
    status, result = goal.result()
    assert (status, result.outcome, result.error_code) == (SUCCEEDED, Result.GAVE_UP, Result.TIME_SPENT)
    assert result.instances


# --- the time of a frame


@pytest.mark.parametrize("mode", ["on_demand", "always"])
@pytest.mark.parametrize(
    ("seconds", "told"), [(-5.0, "more than max_frame_age (1 s)"), (5.0, "in the future: the clocks")]
)
def test_frames_of_another_time_are_not_looked_at(
    robot: Robot, start: Start, mode: str, seconds: float, told: str
) -> None:
    start("-p", f"camera_mode:={mode}", "-p", "frame_timeout:=0.5")
    camera = robot.camera(picture())
    camera.stamp = shifted(robot, seconds)
    until(lambda: robot.ask()[1].error_code == Result.STALE_FRAME)
    _, result = robot.ask()
    assert result.outcome == Result.FAILED
    assert "the newest frame of /image is " in result.error_msg
    assert told in result.error_msg


def test_images_without_a_stamp_count_as_now(robot: Robot, start: Start) -> None:
    start()
    robot.camera(picture()).stamp = None
    _, result = robot.ask()
    assert (result.outcome, nanoseconds(result.header.stamp)) == (Result.FOUND, 0)


def test_a_past_stamp_needs_a_buffer(robot: Robot, start: Start) -> None:
    start()
    robot.camera(picture())
    past = (robot.node.get_clock().now() - Duration(seconds=1)).to_msg()
    status, result = robot.ask(stamp=past)
    assert (status, result.error_code) == (ABORTED, Result.NEEDS_BUFFER)
    assert "camera_mode" in result.error_msg


def test_a_stamp_of_the_near_future_is_waited_for(robot: Robot, start: Start) -> None:
    start()
    robot.camera(picture())
    robot.connect()
    soon = (robot.node.get_clock().now() + Duration(seconds=0.6)).to_msg()
    _, result = robot.ask(stamp=soon)
    assert result.outcome == Result.FOUND
    assert abs(nanoseconds(result.header.stamp) - nanoseconds(soon)) <= 50_000_000


def test_the_buffer_gives_the_frame_of_a_stamp(robot: Robot, start: Start) -> None:
    start("-p", "camera_mode:=always", "-p", "stamp_tolerance:=0.02")
    robot.camera(picture(), period=0.2)
    frames = seen_by(robot)
    buffering(robot)
    wanted = nanoseconds(frames.messages[-3].header.stamp)
    status, result = robot.ask(stamp=stamp(wanted + 5_000_000))
    assert (status, nanoseconds(result.header.stamp)) == (SUCCEEDED, wanted)

    status, result = robot.ask(stamp=stamp(wanted + 100_000_000))
    assert (status, result.error_code) == (ABORTED, Result.STAMP_NOT_BUFFERED)
    assert "more than stamp_tolerance (0.02 s)" in result.error_msg
    status, result = robot.ask(stamp=stamp(wanted - 60_000_000_000))
    assert (status, result.error_code) == (ABORTED, Result.STAMP_NOT_BUFFERED)


def test_time_that_jumps_back_empties_the_buffer(robot: Robot, start: Start) -> None:
    start("-p", "camera_mode:=always", "-p", "max_frame_age:=60.0")
    camera = robot.camera(picture(value=10))
    buffering(robot)
    camera.stamp = shifted(robot, -30)
    frames = seen_by(robot)
    earlier = robot.node.get_clock().now() - Duration(seconds=15)
    frames.wait(5, lambda frame: nanoseconds(frame.header.stamp) < earlier.nanoseconds)
    _, result = robot.ask()
    assert result.outcome == Result.FOUND
    assert nanoseconds(result.header.stamp) < earlier.nanoseconds


def test_simulation_time_dates_frames_and_steady_time_bounds_goals(domain: int, start: Start) -> None:
    start("-p", "use_sim_time:=true", "-p", "frame_timeout:=0.5", script="slow")
    with Robot(domain) as robot:
        camera = robot.camera(picture())
        camera.stamp = lambda: Time(sec=100)
        until(lambda: robot.ask()[1].error_code == Result.STALE_FRAME)
        assert "nobody publishes /clock" in robot.ask()[1].error_msg
        clock = robot.publisher(Clock, "/clock")

        def gave_up() -> bool:
            # Simulation time stands still. It is told again and again, as the agent may know nobody who tells it yet.
            clock.publish(Clock(clock=Time(sec=100, nanosec=500_000_000)))
            return bool(robot.ask(time_budget=0.5)[1].outcome == Result.GAVE_UP)

        until(gave_up)


# --- what is in a frame


def test_masks_follow_a_camera_that_changes_its_size(robot: Robot, start: Start) -> None:
    start("-p", "camera_mode:=always")
    camera = robot.camera(picture(64, 48))
    assert robot.ask()[1].instances[0].mask.width == 64
    camera.message = picture(160, 120)
    until(lambda: (robot.ask()[1].instances[0].mask.width, robot.ask()[1].instances[0].mask.height) == (160, 120))


def compressed(suffix: str) -> CompressedImage:
    data = cv2.imencode(suffix, np.full((48, 64, 3), 90, np.uint8))[1]
    return CompressedImage(format=suffix[1:], data=array.array("B", data.tobytes()))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("mode", ["on_demand", "always"])
def test_compressed_images(robot: Robot, start: Start, suffix: str, mode: str) -> None:
    start("-p", "image_transport:=compressed", "-p", f"camera_mode:={mode}", "-r", "image:=/camera/image")
    robot.camera(compressed(suffix), "/camera/image/compressed")
    _, result = robot.ask()
    assert (result.outcome, result.instances[0].mask.width) == (Result.FOUND, 64)


def broken(**fields: Any) -> Image:
    message = picture(64, 48)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_broken_images_are_told_and_the_node_lives_on(shared: Robot) -> None:
    for message, told in (
        (broken(height=0), "1 to 64000000 pixels are needed"),
        (broken(step=10), "step is 10 bytes, but a row of 64 pixels has 192"),
        (broken(data=array.array("B", b"123")), "9216 bytes are needed, data has 3"),
        (broken(encoding="cmyk"), "the encoding 'cmyk' can't be converted"),
        (broken(encoding="uyvy", width=63), ""),
        (broken(height=4_000_000_000), "pixels are needed"),
    ):
        status, result = shared.ask(image=message)
        assert (status, result.outcome, result.error_code) == (ABORTED, Result.FAILED, Result.BAD_IMAGE)
        assert told in result.error_msg
    assert shared.ask(image=picture())[1].outcome == Result.FOUND


@pytest.mark.parametrize("data", [b"", b"\xff\xd8 not a picture", bytes(compressed(".jpg").data)[:-40]])
def test_a_broken_jpeg_is_told_and_the_node_lives_on(robot: Robot, start: Start, data: bytes) -> None:
    start("-p", "image_transport:=compressed")
    camera = robot.camera(CompressedImage(format="jpeg", data=array.array("B", data)), "/image/compressed")
    _, result = robot.ask()
    assert (result.outcome, result.error_code) == (Result.FAILED, Result.BAD_IMAGE)
    assert f"compressed image of {len(data)} bytes" in result.error_msg
    camera.message = compressed(".jpg")
    until(lambda: robot.ask()[1].outcome == Result.FOUND)


def test_depth_of_another_size_than_its_image_is_refused(shared: Robot) -> None:
    depth = image_of(np.ones((10, 10), np.float32), "32FC1")
    _, result = shared.ask(image=picture(), depth=depth)
    assert (result.outcome, result.error_code) == (Result.FAILED, Result.BAD_IMAGE)
    assert "depth is of 10 x 10 pixels, the image of 64 x 48" in result.error_msg
