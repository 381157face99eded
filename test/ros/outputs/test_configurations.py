"""Configurations for RViz, Foxglove and nav2 name topics that a node has, with the types that these read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ros_support import ROOT, Robot, until

from rsagent_ros.ros.outputs.label_image import CLASS

RVIZ, FOXGLOVE = ROOT / "config/rviz/agent.rviz", ROOT / "config/foxglove/agent.json"
NAV2 = ROOT / "examples/nav2_semantic_layer/nav2_params.yaml"
FROM_APT = {"/agent/label_info", "/tf"}
"""Topics of packages that are in no registry; test_standard_outputs.py has them."""

OF_DISPLAY = {
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
}


def named(path: Path) -> set[str]:
    """The topics in a file that this installation of ROS can have."""
    return set(re.findall(r"(?:/agent/\w+|/diagnostics|/tf)\b", path.read_text(encoding="utf-8"))) - FROM_APT


@pytest.fixture(scope="module")
def topics(shared: Robot) -> dict[str, str]:
    """The types of the topics on the graph, once those that are named are there."""
    wanted = named(RVIZ) | named(FOXGLOVE) | named(NAV2)
    until(lambda: wanted <= dict(shared.node.get_topic_names_and_types()).keys())
    return {name: kinds[0] for name, kinds in shared.node.get_topic_names_and_types()}


@pytest.mark.parametrize("path", [RVIZ, FOXGLOVE, NAV2], ids=lambda path: path.name)
def test_every_topic_is_the_node_s(path: Path, topics: dict[str, str]) -> None:
    assert named(path)
    assert named(path) <= topics.keys()


def test_displays_of_rviz_have_the_types_of_their_topics(topics: dict[str, str]) -> None:
    displays = yaml.safe_load(RVIZ.read_text())["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"]: display["Class"] for display in displays if "Topic" in display}
    assert shown
    assert {topic: OF_DISPLAY[kind] for topic, kind in shown.items()} == {topic: topics[topic] for topic in shown}


def test_panels_of_foxglove_are_all_in_its_layout(topics: dict[str, str]) -> None:
    layout = json.loads(FOXGLOVE.read_text())

    def leaves(part: Any) -> set[str]:
        return {part} if isinstance(part, str) else leaves(part["first"]) | leaves(part["second"])

    assert leaves(layout["layout"]) == set(layout["configById"])
    publish = layout["configById"]["Publish!goal"]
    assert publish["datatype"] == topics[publish["topicName"]]
    json.loads(publish["value"])


def test_nav2_s_layer_gets_what_it_reads(topics: dict[str, str]) -> None:
    costmap = yaml.safe_load(NAV2.read_text())["local_costmap"]["local_costmap"]["ros__parameters"]
    layer = costmap["semantic_segmentation_layer"]
    assert "semantic_segmentation_layer" in costmap["plugins"]
    source = layer[layer["observation_sources"]]
    assert topics[source["segmentation_topic"]] == "sensor_msgs/msg/Image"
    assert topics[source["pointcloud_topic"]] == "sensor_msgs/msg/PointCloud2"
    assert source["labels_topic"] == "/agent/label_info"
    classes = [name for kind in source["class_types"] for name in source[kind]["classes"]]
    assert classes == [CLASS]
