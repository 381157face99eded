"""examples/record_bag.py: what is on the graph is in the bag, and `rsagent replay` reads it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bags import discs
from ros_support import PATIENCE, ROOT, AgentProcess, Robot, image_of, until
from rosbags.rosbag2 import Reader
from rsagent_ros.msg import Goal

from rsagent_ros.records.bag import Bag
from rsagent_ros.records.bag_index import index_bag

PROGRAM = ROOT / "examples/record_bag.py"


def test_a_robot_is_recorded(tmp_path: Path, domain: int, robot: Robot, start: Callable[..., AgentProcess]) -> None:
    start()
    robot.camera(image_of(discs(), "rgb8"), "/camera/image")
    bag = tmp_path / "bag"
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    recorder = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(bag)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        goals = robot.node.create_publisher(Goal, "/agent/goal", 10)
        until(lambda: goals.get_subscription_count() == 2)  # the agent, and the recorder
        until(lambda: robot.node.count_subscribers("/camera/image") > 0)
        until(lambda: robot.node.count_subscribers("/agent/result") > 0)
        goals.publish(Goal(id="g", instruction="the red circle", image=image_of(discs(), "rgb8")))
        until(lambda: any(bag.glob("*.mcap")))
        robot.ask("another", image=image_of(discs(), "rgb8"))  # the other goal has ended or was pre-empted by then
        recorder.send_signal(signal.SIGINT)
        told, _ = recorder.communicate(timeout=PATIENCE)
    finally:
        recorder.kill()
        recorder.wait()
    assert recorder.returncode == 0
    assert "on /camera/image" in told
    with Bag(bag, complain) as opened:
        index = index_bag(opened)
    assert index.goals[0].instruction == "the red circle"
    assert len(index.refs["/camera/image"]) > 0
    with Reader(bag) as reader:
        connection, _, data = next(reader.messages([c for c in reader.connections if c.topic == "/camera/image"]))
        assert connection.msgtype == "sensor_msgs/msg/Image"
        assert np.frombuffer(data, np.uint8)[-discs().size :].tobytes() == discs().tobytes()


def test_nothing_to_record_and_bad_usage(tmp_path: Path, domain: int) -> None:
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    command = [sys.executable, str(PROGRAM), str(tmp_path / "bag"), "--seconds", "0.3"]
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == 1
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == 2


def complain(sentence: str) -> None:
    raise AssertionError(sentence)
