"""The launch files: what they name exists, and where launch is installed, they start what they say."""

from __future__ import annotations

import ast
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock
from xml.etree import ElementTree

import psutil
import pytest
from ros_support import PATIENCE, Robot, picture, until
from rsagent_ros.msg import Result

from rsagent_ros.ros.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))

RUNNER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *arguments = sys.argv[1:]
include = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path), launch_arguments=[argument.split(":=") for argument in arguments]
)
service = LaunchService()
service.include_launch_description(LaunchDescription([include]))
sys.exit(service.run())
"""


def calls(path: Path, function: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function
    ]


def declared(path: Path) -> dict[str, ast.Call]:
    """The arguments of a launch file, but for those that are parameters of the node."""
    made = calls(path, "DeclareLaunchArgument")
    return {ast.literal_eval(call.args[0]): call for call in made if isinstance(call.args[0], ast.Constant)}


def value(call: ast.Call, keyword: str) -> ast.expr | None:
    return next((given.value for given in call.keywords if given.arg == keyword), None)


# --- without launch


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_argument_is_described_and_used(path: Path) -> None:
    compile(path.read_text(), path.name, "exec")
    arguments = declared(path)
    assert arguments
    assert [name for name, call in arguments.items() if value(call, "description") is None] == []
    used = {
        call.args[0].value
        for call in calls(path, "LaunchConfiguration") + calls(path, "_true")
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }
    by_name = {"agent.launch.py": {"image", "camera_info", "depth"}}
    assert used | by_name.get(path.name, set()) == set(arguments)


def test_what_they_start_is_installed() -> None:
    installed = (ROOT / "CMakeLists.txt").read_text()
    for path in FILES:
        for call in calls(path, "LifecycleNode") + calls(path, "Node"):
            executable = value(call, "executable")
            assert executable is not None
            assert f"/{ast.literal_eval(executable)} " in installed + " "
    for name in ("agent.yaml", "fastdds.xml"):
        assert (ROOT / "config" / name).is_file()


def test_no_argument_of_the_agent_takes_the_place_of_a_parameter() -> None:
    assert set(declared(ROOT / "launch/agent.launch.py")).isdisjoint(PARAMETERS)


@pytest.mark.parametrize("name", ["sim", "replay"])
def test_the_agent_is_given_arguments_that_it_has(name: str) -> None:
    (include,) = calls(ROOT / f"launch/{name}.launch.py", "IncludeLaunchDescription")
    given = value(include, "launch_arguments")
    assert isinstance(given, ast.Call)
    assert isinstance(given.func, ast.Attribute)
    assert isinstance(given.func.value, ast.Dict)
    names = {ast.literal_eval(key) for key in given.func.value.keys if key is not None}
    assert names <= {*declared(ROOT / "launch/agent.launch.py"), *PARAMETERS}


def test_topics_of_each_camera_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("launch", "launch_ros"):  # what decides about the topics needs neither
        for module in ("", ".actions", ".descriptions", ".event_handlers", ".events", ".events.process"):
            monkeypatch.setitem(sys.modules, name + module, MagicMock())
        for module in (".parameter_descriptions", ".substitutions"):
            monkeypatch.setitem(sys.modules, name + module, MagicMock())
    remappings = runpy.run_path(str(ROOT / "launch/agent.launch.py"))["remappings"]

    def remapped(**given: str) -> dict[str, str]:
        return dict(remappings(SimpleNamespace(launch_configurations=given)))

    assert remapped(image="/camera/image", cameras="") == {"image": "/camera/image"}
    both = {"left/image": "/left/rgb", "arm/wrist/depth": "/wrist/depth", "other/image": "/other"}
    expected = {name: topic for name, topic in both.items() if name != "other/image"}
    for cameras in ("[left, arm/wrist]", "['left', 'arm/wrist']", "left, arm/wrist"):
        assert remapped(cameras=cameras, **both) == expected


def test_the_profile_for_large_images_is_well_formed() -> None:
    root = ElementTree.parse(ROOT / "config/fastdds.xml").getroot()
    sizes = {element.tag.split("}")[1]: int(element.text or 0) for element in root.iter() if "ize" in element.tag}
    assert sizes["maxMessageSize"] > 1920 * 1080 * 4
    assert sizes["segment_size"] >= 2 * sizes["maxMessageSize"]


# --- with launch


@contextmanager
def launched(
    domain: int, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    pytest.importorskip("launch_ros", reason="launch and launch_ros are not installed: they come with ROS from apt")
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(ROOT / "launch/agent.launch.py"), *arguments],
        env=os.environ | {"ROS_DOMAIN_ID": str(domain)} | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            interrupt(process)
        sys.stdout.write(process.communicate(timeout=PATIENCE)[0])


def interrupt(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C on a terminal does, which reaches the whole process group: launch counts on that."""
    os.killpg(process.pid, signal.SIGINT)


def test_launch_starts_an_agent_that_answers(domain: int) -> None:
    with (
        launched(domain, "namespace:=left", "image:=/camera/image", "camera_mode:=always") as process,
        Robot(domain, "/left/agent") as robot,
    ):
        robot.camera(picture(), "/camera/image")
        until(lambda: robot.state() == "active")
        assert robot.ask("the red mug")[1].outcome != Result.FAILED
        interrupt(process)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("names", "value"), [("[left, arm/wrist]", ["left", "arm/wrist"]), ("left, arm/wrist", "left, arm/wrist")]
)
def test_cameras_are_given_as_a_list_or_as_the_text_of_before(domain: int, names: str, value: list[str] | str) -> None:
    remap = "arm/wrist/image:=/camera_of_the_wrist"
    with launched(domain, f"cameras:={names}", remap), Robot(domain) as robot:
        until(lambda: robot.state() == "active")
        assert robot.parameter("cameras") == value
        robot.camera(picture(), "/camera_of_the_wrist")
        assert robot.ask("the red mug", camera="arm/wrist")[1].outcome != Result.FAILED


def test_every_parameter_is_an_argument_of_its_type(domain: int) -> None:
    given = {
        "max_turns": "3",
        "hang_grace": "1",
        "topic_preempts_action": "true",
        "cameras": "[left]",
        "output_frame": "7",
    }
    with launched(domain, *(f"{name}:={text}" for name, text in given.items())), Robot(domain) as robot:
        until(lambda: robot.state() == "active")
        values = [robot.parameter(name) for name in given]
    assert [(type(value), value) for value in values] == [
        (int, 3), (float, 1.0), (bool, True), (list, ["left"]), (str, "7"),
    ]  # fmt: skip


def test_launch_starts_a_killed_agent_again(domain: int) -> None:
    with launched(domain, "fastdds_profile:=") as process, Robot(domain) as robot:
        until(lambda: robot.state() == "active")
        (agent,) = psutil.Process(process.pid).children()
        agent.kill()
        until(lambda: {child.pid for child in psutil.Process(process.pid).children()} - {agent.pid} != set())


def test_launch_serves_a_model_first_and_then_starts_the_agent(domain: int, tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="the chat server's policy needs the package openai")
    (tmp_path / "mode").write_text("sick", encoding="utf-8")
    vllm = tmp_path / "vllm"
    vllm.write_text(
        f'#!/bin/sh\nexec {sys.executable} {ROOT / "test/model_server/fake_vllm.py"} "$@"\n', encoding="utf-8"
    )
    vllm.chmod(0o755)
    recipe = tmp_path / "recipe.yaml"
    text = (ROOT / "config/serve/desktop_24gb.yaml").read_text(encoding="utf-8")
    recipe.write_text(f"{text}\nport: {free_port()}\n", encoding="utf-8")
    arguments = ("serve:=true", f"recipe:={recipe}", f"vllm:={vllm}")
    with (
        launched(domain, *arguments, environment={"FAKE_VLLM": str(tmp_path)}) as process,
        Robot(domain) as robot,
    ):
        until((tmp_path / "starts").exists)
        assert robot.node.count_publishers("/agent/result") == 0
        (tmp_path / "mode").write_text("well", encoding="utf-8")
        # The fake server lists no models, so the agent looks for its own in vain, and says so: it has asked.
        until(lambda: robot.state() in ("unconfigured", "active"))
        interrupt(process)
        process.wait(PATIENCE)
        server, worker = map(int, (tmp_path / "starts").read_text(encoding="utf-8").split())
        until(lambda: not psutil.pid_exists(server) and not psutil.pid_exists(worker))


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def test_launch_refuses_a_policy_that_does_not_exist(domain: int) -> None:
    with launched(domain, "policy:=telepathy") as process:
        assert process.wait(PATIENCE) != 0
        assert process.stdout is not None
        assert 'Argument "policy" provided value "telepathy" is not valid' in process.stdout.read()
