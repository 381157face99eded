"""The simulated camera as a process of its own, over DDS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from domains import next_domain

pytest.importorskip("mujoco", reason="the simulator is the extra [sim]")
pytest.importorskip("rclpy", reason="needs ROS 2, from apt or the extra [ros-wheels]")

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from rsagent_ros.data.folder import load_examples
from rsagent_training.simulate import DEMO_EXPRESSIONS, World, demo_world

DOMAIN = next_domain()
PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "sim_camera.py"
SMALL = ["-p", "width:=320", "-p", "height:=240"]

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts the program with ROS arguments; kills what still runs at the end."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    running = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), "--ros-args", *arguments]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def received(topics: dict[str, type], enough: Callable[[dict[str, list[Any]]], bool]) -> dict[str, list[Any]]:
    """Messages by topic, until there are enough of them (or 60 s are over)."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    got: dict[str, list[Any]] = {topic: [] for topic in topics}
    try:
        for topic, kind in topics.items():
            node.create_subscription(kind, topic, got[topic].append, qos_profile_sensor_data)
        end = time.monotonic() + 60.0
        while not enough(got) and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
    return got


def stamps(messages: list[Any]) -> set[tuple[int, int]]:
    return {(message.header.stamp.sec, message.header.stamp.nanosec) for message in messages}


def ended(process: subprocess.Popen[str], how: signal.Signals) -> int:
    process.send_signal(how)
    return process.wait(timeout=20)


def test_it_publishes_the_demo_and_its_truth_and_ends_cleanly(start: Start, tmp_path: Path) -> None:
    process = start(*SMALL, "-p", "fps:=20", "-p", f"truth_dir:={tmp_path / 'truth'}")
    topics = {"/camera/image": Image, "/camera/depth": Image, "/camera/camera_info": CameraInfo}
    got = received(topics, lambda got: len(set.intersection(*map(stamps, got.values()))) >= 3)
    image, depth, info = (got[topic][-1] for topic in topics)
    with demo_world((320, 240)) as world:
        frame = world.render()
    assert (image.encoding, image.height, image.width, image.step) == ("rgb8", 240, 320, 960)
    assert np.array_equal(np.frombuffer(image.data, np.uint8).reshape(240, 320, 3), frame.rgb)
    assert (depth.encoding, depth.step) == ("32FC1", 1280)
    assert np.array_equal(np.frombuffer(depth.data, np.float32).reshape(240, 320), frame.depth)
    assert {message.header.frame_id for message in (image, depth, info)} == {"camera_optical_frame"}
    assert info.k[0] == info.p[0] == pytest.approx(frame.camera.fx)
    assert (info.k[2], info.k[5]) == (159.5, 119.5)
    assert abs(time.time() - image.header.stamp.sec) < 30.0
    known = [example.instruction for example in load_examples(tmp_path / "truth")]
    assert known == [expression.words for _, expression in DEMO_EXPRESSIONS]
    assert ended(process, signal.SIGINT) == 0


def test_it_moves_in_a_namespace_and_compresses(start: Start) -> None:
    parameters = ("preset:=seed", "seed:=7", "moving:=true", "compressed:=true", "frame_id:=eye", "fps:=50")
    process = start("-r", "__ns:=/robot1", *SMALL, *(part for one in parameters for part in ("-p", one)))
    topics = {"/robot1/camera/image": Image, "/robot1/camera/image/compressed": CompressedImage}
    got = received(topics, lambda got: all(len(messages) >= 3 for messages in got.values()))
    images = got["/robot1/camera/image"]
    with World(7, size=(320, 240)) as world:
        still = world.render().rgb
    assert len({bytes(image.data) for image in images}) == len(images)
    assert not np.array_equal(np.frombuffer(images[-1].data, np.uint8), still.ravel())
    assert bytes(got["/robot1/camera/image/compressed"][0].data[:2]) == b"\xff\xd8"
    assert images[0].header.frame_id == "eye"
    assert ended(process, signal.SIGTERM) == 0


def test_what_a_moving_camera_saw_can_be_rendered_again(start: Start, tmp_path: Path) -> None:
    process = start(*SMALL, "-p", "moving:=true", "-p", f"truth_dir:={tmp_path / 'truth'}")
    got = received({"/camera/image": Image}, lambda got: len(got["/camera/image"]) >= 3)
    assert ended(process, signal.SIGTERM) == 0
    rows = [json.loads(line) for line in (tmp_path / "truth/moments.jsonl").read_text().splitlines()]
    moments = {row["stamp"]: row["t"] for row in rows}
    image = got["/camera/image"][-1]
    t = moments[image.header.stamp.sec * 10**9 + image.header.stamp.nanosec]
    assert t > 0.0
    with demo_world((320, 240)) as world:
        assert np.array_equal(np.frombuffer(image.data, np.uint8).reshape(240, 320, 3), world.render(t).rgb)


def test_a_wrong_parameter_is_named(start: Start) -> None:
    complaints = {
        "preset:=kitchen": 'preset is \'kitchen\'; it must be "demo" or "seed"',
        "fps:=0.0": "fps is 0.0; it must be a number above 0",
        "width:=wide": "expecting type 'INTEGER'",
    }
    processes = {complaint: start("-p", parameter) for parameter, complaint in complaints.items()}
    for complaint, process in processes.items():
        assert complaint in process.communicate(timeout=100)[1]
        assert process.returncode == 1


def test_it_overwrites_no_truth(start: Start, tmp_path: Path) -> None:
    (tmp_path / "scenes.jsonl").write_text("mine")
    process = start(*SMALL, "-p", f"truth_dir:={tmp_path}")
    assert "exists already, not overwriting" in process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert (tmp_path / "scenes.jsonl").read_text() == "mine"
