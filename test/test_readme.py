"""The README holds: every command in it is run by CI or checked against what it names.

test/ros/test_docs.py runs its lines of Python beside a node.
"""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Commands of a robot's ROS install, which the Python wheels do not have; what they name is checked below.
ROS_TOOLS = ("ros2", "rosdep", "colcon", "cd", "pip", "source")
MOST_WORDS = 900


def commands() -> list[str]:
    """The indented lines of the README, in order; those that end with a backslash are joined with the next."""
    indented = "\n".join(line.strip() for line in README.splitlines() if line.startswith("    "))
    return indented.replace("\\\n", "").splitlines()


def test_it_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


def shell_commands() -> list[str]:
    return [line for line in commands() if not re.match(r"(from|with|result) ", line)]


def test_every_command_is_accounted_for() -> None:
    in_ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for line in shell_commands():
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert f"make {words[1]}" in in_ci, line
        elif words[0].startswith(".venv/"):
            assert " ".join(words) in in_ci.replace('"', ""), line
        else:
            assert words[0] in (*ROS_TOOLS, "git", "python3"), f"nobody runs: {line}"


def test_files_it_points_to_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).is_file(), target
    for named in re.findall(r"`?(config/[\w.]+|launch/[\w.]+)`?", README):
        assert (ROOT / named).exists(), named


def parameters() -> set[str]:
    """Names of the node's parameters, each of which is an argument of agent.launch.py."""
    ((_, node),) = yaml.safe_load((ROOT / "config/agent.yaml").read_text(encoding="utf-8")).items()
    values = node["ros__parameters"]
    nested = {f"{name}.{part}" for name, value in values.items() if isinstance(value, dict) for part in value}
    return {*values} | nested


def test_launch_files_have_the_arguments_it_gives() -> None:
    for line in commands():
        if "ros2 launch rsagent_ros" not in line:
            continue
        _, _, _, name, *given = shlex.split(line)
        source = ast.parse((ROOT / "launch" / name).read_text(encoding="utf-8"))
        words = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant)}
        if name == "agent.launch.py":
            words |= parameters()
        for argument in given:
            if ":=" in argument:
                assert argument.split(":=")[0] in words, f"{name} has no argument {argument}"


def test_programs_it_runs_are_installed() -> None:
    installed = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    programs = {shlex.split(line)[3] for line in commands() if line.startswith("ros2 run rsagent_ros ")}
    assert programs  # test/ros/test_docs.py runs them
    assert [name for name in programs if f"scripts/{name} " not in installed] == []


def test_files_it_installs_from_are_there() -> None:
    named = re.findall(r"pip install -r src/rsagent_ros/(\S+)", README)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
