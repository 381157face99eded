"""What README.md and docs/ros-interface.md say about the node is true of a running node."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from filming import shots_of
from moving_pictures import Film
from ros_support import AgentProcess, Robot, picture, until
from terminal import CTRL_C, Terminal

from rsagent_ros.agent.outcome import ErrorCode

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INTERFACE = (ROOT / "docs/ros-interface.md").read_text(encoding="utf-8")

OF_EVERY_NODE = re.compile(
    r"/rosout$|/parameter_events$|/agent/(\w*parameter\w*|get_type_description|\w*(state|transition)\w*)$"
)
"""Topics and services of every node and of every lifecycle node, parameters and transitions."""


def named_in_docs() -> dict[str, str]:
    """The first two columns of the table of names, by name."""
    table = INTERFACE.split("## Names", 1)[1].split("\n## ", 1)[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {name: types for names, types, _ in rows for name in re.findall(r"`([\w~/]+)`", names)}


def test_names_and_types_in_the_docs_are_the_nodes(shared: Robot) -> None:
    shared.connect()
    publishers, subscriptions, services = (
        lambda: shared.node.get_publisher_names_and_types_by_node("agent", "/"),
        lambda: shared.node.get_subscriber_names_and_types_by_node("agent", "/"),
        lambda: shared.node.get_service_names_and_types_by_node("agent", "/"),
    )
    until(lambda: ("agent", "/") in shared.node.get_node_names_and_namespaces())  # asked by name before, it is an error
    until(lambda: ("agent", "/") in shared.node.get_node_names_and_namespaces())
    until(lambda: "/agent/object_points" in dict(publishers()))
    until(lambda: "/agent/rollback" in dict(services()))
    found = {
        name.replace("/agent/", "~/"): kinds[0]
        for listed in (publishers, subscriptions, services)
        for name, kinds in listed()
        if not OF_EVERY_NODE.search(name) and "/_action/" not in name
    }
    documented = named_in_docs()
    assert found.keys() - documented.keys() == set()
    camera = {"image", "camera_info", "depth"}  # subscribed while a goal waits for a frame
    vision = set() if find_spec("vision_msgs") else {"~/detections", "~/detections_3d", "~/label_info"}
    assert documented.keys() - found.keys() == {"~/segment", "/tf", *camera, *vision}
    for name, kind in found.items():
        assert kind.rpartition("/")[2] in documented[name], name


@pytest.mark.parametrize("code", [code for code in ErrorCode if code is not ErrorCode.NONE], ids=lambda code: code.name)
def test_error_codes_in_the_docs_are_all_there_with_their_numbers(code: ErrorCode) -> None:
    assert f"{code.name} ({code.value})" in INTERFACE


def test_outcomes_in_the_docs_are_those_of_the_action() -> None:
    action = (ROOT / "action/Segment.action").read_text(encoding="utf-8").split("---")[1]
    outcomes = dict(re.findall(r"uint8 (\w+)=(\d+)", action))
    del outcomes["UNKNOWN"]
    table = INTERFACE.split("## Outcomes", 1)[1].split("\n## ", 1)[0]
    assert dict(re.findall(r"^\| (\w+) \((\d+)\)", table, re.MULTILINE)) == outcomes


def test_the_readme_s_questions_are_answered(
    domain: int, robot: Robot, start: Callable[..., AgentProcess], film: Callable[..., object], tmp_path: Path
) -> None:
    start(script="filmed")
    film(shots_of(Film(pan=(0.0, 0.0)), 1))
    lines = [line.strip() for line in README.splitlines() if line.startswith("    ros2 run rsagent_ros ask ")]
    assert lines
    for line in lines:
        words = [str(ROOT / "scripts/ask"), *shlex.split(line)[4:]]
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
        with Terminal([sys.executable, *words], environment, folder=tmp_path) as terminal:
            if "--track" in words:
                terminal.wait_for(" tracking, box (")
                terminal.type(CTRL_C)
            assert terminal.exit_code() == 0
            assert "found, after" in terminal.text
    assert (tmp_path / "out/mug/overlay.png").is_file()


def test_the_planner_s_lines_in_the_readme_run(domain: int, robot: Robot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    lines = "\n".join(line[4:] for line in README.splitlines() if re.match(r"    ( *)(from|with|result) ", line))
    with AgentProcess(domain, "-p", "warm_up:=false") as agent:
        agent.ready()
        robot.camera(picture())
        names: dict[str, object] = {}
        exec(compile(lines, "README.md", "exec"), names)
    assert vars(names["result"])["outcome"] == "found"
