"""What colcon built and installed works: messages, modules of the node, programs. `colcon test` runs it.

It needs no more than package.xml and environment/robot.txt name, and does not look at the other tests.
"""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
import rclpy
from domains import next_domain
from rclpy.serialization import deserialize_message, serialize_message
from rsagent_ros.action import Segment
from rsagent_ros.msg import Result

import rsagent_ros.ros
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.backends import Choice, open_models
from rsagent_ros.cli import main


@pytest.mark.parametrize(
    "name", [one.name for one in pkgutil.walk_packages(rsagent_ros.ros.__path__, f"{rsagent_ros.ros.__name__}.")]
)
def test_every_module_of_the_node_can_be_imported(name: str) -> None:
    importlib.import_module(name)


def test_a_result_comes_back_as_it_was_sent() -> None:
    result = Result(outcome=Result.FOUND, goal_id="one", instruction="the red mug")
    assert deserialize_message(serialize_message(result), Result) == result
    assert Segment.Result.FOUND == Result.FOUND


def test_the_embedded_default_finds_a_red_square() -> None:
    image = np.full((240, 320, 3), 200, np.uint8)
    image[80:150, 40:110] = 200, 30, 40
    with open_models(Choice()) as models:
        episode = Episode(image, "the red square", models.segmenter, Budget(seconds=60.0))
        result = drive(episode, models.policy)
    assert result.outcome == "found"
    assert abs(result.instances[0].box.x0 - 40) < 5


def test_the_command_line_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("rsagent ")


def test_a_node_of_the_package_starts_and_ends() -> None:
    from rsagent_ros.ros.agent_node import AgentNode

    rclpy.init(args=["--ros-args", "-p", "warm_up:=false"], domain_id=next_domain())
    node = AgentNode()
    assert node.parameters.max_turns == 8
    node.destroy_node()
    rclpy.shutdown()
