#!/usr/bin/env python3
"""The simulator as a robot's camera: a ROS 2 node that publishes a rendered table top.

    python examples/sim_camera.py
    python examples/sim_camera.py --ros-args -r __ns:=/robot1 -p preset:=seed -p seed:=7 -p moving:=true -p fps:=5.0

Topics, best effort as real cameras are (sensor data QoS):

    camera/image            sensor_msgs/Image, rgb8
    camera/image/compressed sensor_msgs/CompressedImage, JPEG; with the parameter `compressed`
    camera/depth            sensor_msgs/Image, 32FC1, metres along the optical axis, NaN where there is nothing
    camera/camera_info      sensor_msgs/CameraInfo

All of one picture carry the same stamp and `frame_id`, an optical frame (x right, y down, z forward). A camera at rest
is rendered once and published at `fps`; a moving one is rendered as fast as the machine can, at most at `fps`.
SIGINT and SIGTERM end it with exit code 0.
"""

from __future__ import annotations

import array
import json
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rsagent_ros.data.folder import save_examples
from rsagent_training.simulate import Rendering, World, demo_examples, demo_world, examples

PARAMETERS = {
    "preset": ("demo", 'what to show: "demo" is a fixed scene, "seed" a scene drawn from `seed`'),
    "seed": (0, "scene to draw when preset is seed"),
    "vocabulary": ("full", 'kinds of things when preset is seed: "plain" or "full"'),
    "width": (640, "pixels"),
    "height": (480, "pixels"),
    "fps": (10.0, "pictures per second"),
    "moving": (False, "move the camera slowly around the table"),
    "compressed": (False, "also publish camera/image/compressed"),
    "frame_id": ("camera_optical_frame", "frame of all messages"),
    "truth_dir": (
        "",
        "folder to write the goals of the scene at rest and their true masks to; where the camera moves, also "
        "moments.jsonl: the stamp of every picture, and the second of the simulation that it shows",
    ),
}


class SimCamera(Node):
    """Publishes frames of a world, rendered in the thread that calls `run`: an OpenGL context stays in its thread."""

    def __init__(self) -> None:
        super().__init__("sim_camera")
        for name, (default, description) in PARAMETERS.items():
            # "fps:=5" arrives as an integer.
            either = isinstance(default, float)
            descriptor = ParameterDescriptor(description=description, read_only=True, dynamic_typing=either)
            self.declare_parameter(name, default, descriptor)
        self._image = self.create_publisher(Image, "camera/image", qos_profile_sensor_data)
        self._depth = self.create_publisher(Image, "camera/depth", qos_profile_sensor_data)
        self._info = self.create_publisher(CameraInfo, "camera/camera_info", qos_profile_sensor_data)
        self._jpeg = None
        if self._value("compressed"):
            self._jpeg = self.create_publisher(CompressedImage, "camera/image/compressed", qos_profile_sensor_data)

    def _value(self, name: str):
        return self.get_parameter(name).value

    def run(self, stop: threading.Event) -> None:
        """Publishes until `stop` is set.

        Raises:
            ValueError: A parameter has no sense.
            FileExistsError: The folder for the truth holds scenes already.
        """
        fps = self._value("fps")
        if not isinstance(fps, int | float) or not 0.0 < fps <= 1000.0:
            raise ValueError(f"fps is {fps!r}; it must be a number above 0, at most 1000")
        with ExitStack() as opened:
            world = opened.enter_context(self._world())
            frame = world.render()
            moments = None
            if self._value("truth_dir"):
                made = demo_examples if self._value("preset") == "demo" else examples
                save_examples(made(world, frame), Path(self._value("truth_dir")))
                if self._value("moving"):
                    path = Path(self._value("truth_dir")) / "moments.jsonl"
                    moments = opened.enter_context(path.open("w", encoding="utf-8"))
            messages = self._messages(frame)
            self.get_logger().info(
                f"{world.room.view.distance:.2f} m from a table with {len(world.items)} things; "
                f"publishing {self._image.topic_name} at {fps:g} Hz"
            )
            start = due = time.monotonic()
            while not stop.is_set():
                stamp = self.get_clock().now().to_msg()
                if self._value("moving"):
                    t = time.monotonic() - start
                    messages = self._messages(world.render(t, truth=False))
                    if moments is not None:
                        moments.write(json.dumps({"stamp": stamp.sec * 10**9 + stamp.nanosec, "t": t}) + "\n")
                for publisher, message in messages:
                    message.header.stamp = stamp
                    publisher.publish(message)
                # A picture that took longer than its period is not made up for: the next is due from now.
                due = max(due + 1.0 / fps, time.monotonic())
                self._serve(due, stop)

    def _serve(self, until: float, stop: threading.Event) -> None:
        """Answers parameter requests until then; looks up often enough for a signal to be noticed."""
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=min(left, 0.1))

    def _world(self) -> World:
        size = (self._value("width"), self._value("height"))
        preset = self._value("preset")
        if preset == "demo":
            return demo_world(size)
        if preset == "seed":
            return World(self._value("seed"), vocabulary=self._value("vocabulary"), size=size)
        raise ValueError(f'preset is {preset!r}; it must be "demo" or "seed"')

    def _messages(self, frame: Rendering) -> list[tuple]:
        """One picture as (publisher, message) pairs, the stamps left to fill in."""
        messages = [
            (self._image, _image(frame.rgb, "rgb8")),
            (self._depth, _image(frame.depth, "32FC1")),
            (self._info, _info(frame)),
        ]
        if self._jpeg is not None:
            data = cv2.imencode(".jpg", cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
            jpeg = CompressedImage(format="rgb8; jpeg compressed bgr8")
            jpeg.data = array.array("B", data.tobytes())
            messages.append((self._jpeg, jpeg))
        for _, message in messages:
            message.header.frame_id = self._value("frame_id")
        return messages


def _image(pixels: np.ndarray, encoding: str) -> Image:
    message = Image(encoding=encoding, is_bigendian=sys.byteorder == "big")
    message.height, message.width = pixels.shape[:2]
    message.step = pixels.strides[0]
    # An array.array is taken over whole; any other sequence would be checked and copied byte by byte.
    message.data = array.array("B", pixels.tobytes())
    return message


def _info(frame: Rendering) -> CameraInfo:
    camera = frame.camera
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def main() -> int:
    """Runs the node. Returns 0 when a signal ended it, 1 when it could not start."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = SimCamera()
        node.run(stop)
    except (ValueError, FileExistsError, ParameterException) as error:
        rclpy.logging.get_logger("sim_camera").fatal(str(error))
        return 1
    finally:
        rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
