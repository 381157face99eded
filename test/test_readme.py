"""The README holds: every command and code block in it is run here, by CI, or checked against what it names."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Commands of a robot's ROS install, which the Python wheels do not have; what they name is checked below.
ROS_TOOLS = ("ros2", "rosdep", "colcon", "cd")


def commands() -> list[str]:
    """The indented lines of the README, in order."""
    return [line.strip() for line in README.splitlines() if line.startswith("    ")]


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
            assert words[0] in (*ROS_TOOLS, "python3"), f"nobody runs: {line}"


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


def test_goals_it_sends_have_the_fields_of_the_messages() -> None:
    fields = {
        match.group(1)
        for line in (ROOT / "action" / "Segment.action").read_text(encoding="utf-8").split("---")[0].splitlines()
        if (match := re.match(r"[\w/]+ (\w+)(?: |$)", line))
    }
    sent = [line for line in commands() if "send_goal" in line]
    assert sent
    for line in sent:
        goal = yaml.safe_load(shlex.split(line)[-1])
        assert goal.keys() <= fields, line


def test_planner_example_is_what_the_client_offers() -> None:
    example = "\n".join(line[4:] for line in README.splitlines() if re.match(r"    ( *)(from|with|result) ", line))
    tree = ast.parse(example)
    client = ast.parse((ROOT / "rsagent_ros" / "ros" / "client" / "agent.py").read_text(encoding="utf-8"))
    agent = next(node for node in client.body if isinstance(node, ast.ClassDef) and node.name == "Agent")
    methods = {node.name for node in agent.body if isinstance(node, ast.FunctionDef)}
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert called <= methods
    assert called


@pytest.mark.parametrize("name", ["Outcome", "ErrorCode"])
def test_outcomes_and_error_codes_are_all_there(name: str) -> None:
    from rsagent_ros.agent import outcome

    for member in getattr(outcome, name):
        if member.name != "NONE":
            assert f"`{member.name}`" in README, member.name


def test_parameter_table_is_the_nodes() -> None:
    from rsagent_ros.ros.parameters import PARAMETERS, table

    shown = README.split("compares it with the node -->\n", 1)[1].split("<!-- end of parameters -->", 1)[0]
    assert shown.strip() == table(name for name in PARAMETERS if "." not in name).strip()
