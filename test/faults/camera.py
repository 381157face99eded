"""Faults of the camera, of depth, and of the clocks."""

from __future__ import annotations

import array
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from faults.matrix import Row, Setup
from faults.stage import Stage, square
from rclpy.duration import Duration
from ros_support import StillCamera, image_of, until
from rosgraph_msgs.msg import Clock
from rsagent_ros.msg import TrackedMask
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from rsagent_ros.ros.stamps import nanoseconds, stamp

SIMULATED = Setup("simulated", ("frame_timeout:=1.0",), simulated=True)
INFO = CameraInfo(width=128, height=96, k=[100.0, 0.0, 64.0, 0.0, 100.0, 48.0, 0.0, 0.0, 1.0])
PERIOD = 0.03
TRACKING = TrackedMask.TRACKING


def shifted(stage: Stage, seconds: float) -> Callable[[], Time]:
    """Stamps of a camera whose clock is off."""
    return lambda: (stage.robot.node.get_clock().now() + Duration(seconds=seconds)).to_msg()


def broken(**fields: Any) -> Image:
    """An image whose fields do not go together."""
    message = square()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def jpeg(size: int | None = None) -> CompressedImage:
    """The square, or its first bytes."""
    pixels = np.frombuffer(square().data, np.uint8).reshape(96, 128, 3)
    data = cv2.imencode(".jpg", pixels[..., ::-1])[1].tobytes()[:size]
    return CompressedImage(format="jpeg", data=array.array("B", data))


def stops_before(stage: Stage) -> None:
    """Silent, still on the graph; then gone."""
    camera = stage.film()
    stage.ask(camera=True)
    camera.pause()
    stage.ask(camera=True)
    camera.stop()
    until(lambda: stage.robot.node.count_publishers("/image") == 0)
    time.sleep(0.2)  # the agent hears of it in its own time
    stage.ask(camera=True)
    stage.film()


def stops_after(stage: Stage) -> None:
    """When the goal has its frame already."""
    camera = stage.film()
    goal = stage.send("a thing [policy=thinks]", camera=True).thinking()
    camera.stop()
    goal.wait()
    stage.film()


def with_messages(*messages: Image) -> Callable[[Stage], None]:
    """The camera sends each of these for one goal."""

    def inject(stage: Stage) -> None:
        camera = stage.film()
        for message in messages:
            camera.message = message
            time.sleep(3 * PERIOD)
            stage.ask(camera=True)
        stage.film()

    return inject


def changes_size(stage: Stage) -> None:
    """During goals, which keep the frame they have; the mask is of the frame's size."""
    stage.activate_with(camera_mode="always")
    camera = stage.film()
    for side in (2, 1, 3, 1):
        goal = stage.send("a thing [policy=thinks]", camera=True).thinking()
        camera.message = square(side)
        result = goal.wait().result
        assert (result.instances[0].mask.width % 128, result.instances[0].mask.height % 96) == (0, 0)
    until(lambda: stage.ask(camera=True).result.instances[0].mask.width == 128)
    stage.activate_with(camera_mode="on_demand")


def stamps(seconds: float, mode: str) -> Callable[[Stage], None]:
    """Of another time while goals run, then right again."""

    def inject(stage: Stage) -> None:
        stage.activate_with(camera_mode=mode)
        camera = stage.film()
        right = camera.stamp
        goal = stage.send("a thing [policy=thinks]", camera=True).thinking()
        camera.stamp = shifted(stage, seconds)
        goal.wait()
        stage.ask(camera=True)
        camera.stamp = right
        time.sleep(3 * PERIOD)
        stage.activate_with(camera_mode="on_demand")

    return inject


def broken_jpeg(stage: Stage) -> None:
    """Cut in the middle, not a picture at all, and no bytes."""
    stage.activate_with(image_transport="compressed")
    if stage.camera is not None:
        stage.camera.stop()
    camera = stage.robot.camera(jpeg(), "/image/compressed")
    for message in (jpeg(), jpeg(300), CompressedImage(format="jpeg", data=array.array("B", b"no")), jpeg(0)):
        camera.message = message
        time.sleep(3 * PERIOD)
        stage.ask(camera=True)
    camera.stop()
    stage.activate_with(image_transport="raw")
    stage.film()


def best_effort(stage: Stage) -> None:
    """While the agent asks for reliable."""
    stage.activate_with(image_reliability="reliable")
    stage.film()
    stage.ask(camera=True)
    stage.activate_with(image_reliability="best_effort")


def calibrated(number: float, place: int = 2) -> CameraInfo:
    """A calibration with this number in its matrix."""
    k = [*INFO.k]
    k[place] = number
    return CameraInfo(width=128, height=96, k=k)


def with_depth(
    depth: Image | None, seconds: float = 0.0, *, pose: bool = False, info: CameraInfo = INFO
) -> Callable[[Stage], None]:
    """Goals while depth is like this; the answers have a place in space only where it can be known."""

    def inject(stage: Stage) -> None:
        camera = stage.film()
        others: list[StillCamera] = [stage.robot.camera(info, "/camera_info")]
        if depth is not None:
            others.append(stage.robot.camera(depth, "/depth"))
            others[-1].stamp = shifted(stage, seconds)
        until(lambda: stage.robot.node.count_subscribers("/image") == 0)
        for _ in range(3):
            goal = stage.ask(camera=True)
            assert all(instance.has_pose is pose for instance in goal.result.instances)
        for other in others:
            other.stop()
        assert camera is stage.camera

    return inject


def metres(height: int, width: int, value: float) -> Image:
    """A depth image."""
    return image_of(np.full((height, width), value, np.float32), "32FC1")


def given_depth(stage: Stage) -> None:
    """In the goal itself, of another size than its image."""
    stage.ask(depth=metres(10, 10, 1.0))


class Simulation:
    """A simulation's clock, and a camera that is stamped with it."""

    def __init__(self, stage: Stage) -> None:
        self.now = 1000.0
        self.paused = False
        self._publisher = stage.robot.publisher(Clock, "/clock")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()
        camera = stage.film()
        camera.stamp = self.stamp

    def stamp(self) -> Time:
        return stamp(round(self.now * 1e9))

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._over.wait(0.01):
            if not self.paused:
                self.now += 0.01
                self._publisher.publish(Clock(clock=self.stamp()))


def simulated(change: Callable[[Simulation, Stage], None]) -> Callable[[Stage], None]:
    """Something happens to the simulation's clock."""

    def inject(stage: Stage) -> None:
        simulation = Simulation(stage)
        time.sleep(0.2)  # the agent's clock follows
        try:
            change(simulation, stage)
        finally:
            simulation.close()

    return inject


def paused(simulation: Simulation, stage: Stage) -> None:
    """For longer than a goal may take: budgets go by a steady clock."""
    simulation.paused = True
    stage.ask("a thing [policy=slow]", 0.8, camera=True)
    stage.ask(camera=True)


def jumps(seconds: float) -> Callable[[Simulation, Stage], None]:
    """During a goal, whose budget is not concerned, and before one."""

    def change(simulation: Simulation, stage: Stage) -> None:
        goal = stage.send("a thing [policy=slow]", 0.8, camera=True).thinking()
        simulation.now += seconds
        goal.wait()
        stage.ask(camera=True)

    return change


def jumps_while_tracked(simulation: Simulation, stage: Stage) -> None:
    """Ahead, which the track does not notice; and back, which it is lost by until the agent looks again."""
    masks = stage.robot.listen(TrackedMask, "/agent/tracked_mask", 10)
    stage.set(reground_after=0.1)
    goal = stage.ask(camera=True, track=True, reground=True)
    masks.wait(3)
    for seconds in (3600.0, -900.0):
        simulation.now += seconds
        masks.wait(3, partial(followed_since, simulation.now))
    stage.set(reground_after=1.0)
    stop = stage.robot.publisher(String, "/agent/stop_tracking")
    stop.publish(String(data=goal.id))


def followed_since(seconds: float, mask: TrackedMask) -> bool:
    """Whether a mask is of an image of that time, or soon after, and has its object."""
    return 0 <= nanoseconds(mask.header.stamp) / 1e9 - seconds < 60 and bool(mask.state == TRACKING)


def no_clock(stage: Stage) -> None:
    """Nobody has published /clock yet."""
    camera = stage.film()
    camera.stamp = lambda: Time(sec=1000)
    stage.ask(camera=True)
    stage.camera = None
    camera.stop()


FOUND, STALE, BAD, SPENT = ("FOUND",), "FAILED STALE_FRAME", "FAILED BAD_IMAGE", "GAVE_UP TIME_SPENT"
ROWS = (
    Row(
        "camera stops before the frame, then leaves", stops_before, ("FOUND", "FAILED NO_FRAME", "FAILED NO_PUBLISHER")
    ),
    Row("camera stops in the middle of a goal", stops_after, FOUND),
    Row("camera changes its size in the middle of goals", changes_size, FOUND),
    Row(
        "camera sends broken images",
        with_messages(
            broken(step=10), broken(encoding="cmyk"), broken(height=0), broken(data=array.array("B", b"123"))
        ),
        (BAD,),
    ),
    Row("camera sends broken JPEG", broken_jpeg, ("FOUND", BAD)),
    Row("camera goes back in time, on_demand", stamps(-60.0, "on_demand"), ("FOUND", STALE)),
    Row("camera goes back in time, always", stamps(-60.0, "always"), ("FOUND", STALE)),
    Row("camera's clock is ahead", stamps(60.0, "on_demand"), ("FOUND", STALE)),
    Row("camera is best-effort, reliable is asked for", best_effort, ("FAILED QOS_MISMATCH",)),
    Row("depth is there (for comparison)", with_depth(metres(96, 128, 1.0), pose=True), FOUND),
    Row("depth is missing", with_depth(None), FOUND, note="without a pose"),
    Row("depth is of another size", with_depth(metres(48, 64, 1.0)), FOUND, note="without a pose"),
    Row("depth is of another time", with_depth(metres(96, 128, 1.0), -0.5), FOUND, note="without a pose"),
    Row("depth is full of NaN", with_depth(metres(96, 128, float("nan"))), FOUND, note="without a pose"),
    Row(
        "calibration holds NaN",
        with_depth(metres(96, 128, 1.0), info=calibrated(float("nan"))),
        FOUND,
        note="without a pose",
    ),
    Row(
        "calibration is infinite",
        with_depth(metres(96, 128, 1.0), info=calibrated(float("inf"), 0)),
        FOUND,
        note="without a pose",
    ),
    Row("depth of the goal's own image is of another size", given_depth, (BAD,)),
)
CLOCK_ROWS = (
    Row("simulation clock has not started", no_clock, (STALE,), setup=SIMULATED),
    Row("simulation clock is paused", simulated(paused), (SPENT, "FOUND"), setup=SIMULATED),
    Row("simulation clock jumps an hour ahead", simulated(jumps(3600.0)), (SPENT, "FOUND"), setup=SIMULATED),
    Row("simulation clock jumps back by 15 minutes", simulated(jumps(-900.0)), (SPENT, "FOUND"), setup=SIMULATED),
    Row("simulation clock jumps while an object is tracked", simulated(jumps_while_tracked), FOUND, setup=SIMULATED),
)
