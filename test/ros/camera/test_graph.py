"""Questions of a camera to the ROS graph."""

from __future__ import annotations

import pytest
from ros_support import Robot

from rsagent_ros.ros.camera.camera import Camera
from rsagent_ros.ros.camera.frame_buffer import FrameBuffer
from rsagent_ros.ros.parameters import NodeParameters


def test_a_tracked_frame_does_not_ask_the_graph(robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    topics: list[str] = []
    count = robot.node.count_publishers

    def counting(topic: str) -> int:
        topics.append(topic)
        return int(count(topic))

    monkeypatch.setattr(robot.node, "count_publishers", counting)
    camera, buffer = Camera(robot.node, NodeParameters), FrameBuffer(1.0)
    camera.watch(buffer, 0)
    for stamp in range(1000):
        assert camera.depth_of(stamp, (48, 64)) == (None, None)
    camera.close()
    assert len(topics) < 100
