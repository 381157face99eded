"""The node's parameters: one dataclass behind YAML, descriptors, docs and live changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rcl_interfaces.srv import DescribeParameters
from rclpy.parameter import Parameter
from ros_support import PATIENCE, AgentProcess, Robot, picture
from rsagent_ros.msg import Result

from rsagent_ros.agent.budget import Budget
from rsagent_ros.ros.client.action_client import finished
from rsagent_ros.ros.parameters import PARAMETERS, NodeParameters, changed, descriptor, table

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(PARAMETERS)


def test_the_file_in_config_holds_every_parameter_at_its_default() -> None:
    document = yaml.safe_load((ROOT / "config/agent.yaml").read_text())
    values = {
        f"{name}.{key}" if key else name: value
        for name, entry in document["/**"]["ros__parameters"].items()
        for key, value in (entry if isinstance(entry, dict) else {"": entry}).items()
    }
    defaults = {
        name: [*parameter.default] if isinstance(parameter.default, tuple) else parameter.default
        for name, parameter in PARAMETERS.items()
    }
    assert list(values) == NAMES
    assert values == defaults
    assert {name: type(value) for name, value in values.items()} == {
        name: type(value) for name, value in defaults.items()
    }


def test_the_table_in_the_docs_is_the_generated_one() -> None:
    assert (ROOT / "docs/parameters.md").read_text().endswith("\n\n" + table())


def test_defaults_are_those_of_a_budget() -> None:
    parameters, budget = NodeParameters(), Budget()
    assert (parameters.time_budget, parameters.max_turns, parameters.max_reply_tokens, parameters.max_tokens) == (
        budget.seconds,
        budget.max_turns,
        budget.max_reply_tokens,
        budget.max_tokens,
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_its_limits(name: str) -> None:
    spec, default = PARAMETERS[name].setting, PARAMETERS[name].default
    assert spec.meaning
    if isinstance(default, bool | tuple) or (isinstance(default, str) and not spec.choices):
        return
    wrong: tuple[Any, ...] = ("?",) if spec.choices else (spec.low - 1, spec.high + 1, float("nan"), "many")
    for value in wrong:
        with pytest.raises(ValueError, match=re.escape(f"; allowed: {spec.limits}")):
            changed_to(name, value)
    for value in spec.choices or (type(default)(spec.low), type(default)(spec.high)):
        if name not in ("policy", "fallback_policy"):  # those two have to fit each other
            new = changed_to(name, value)
            assert {**vars(new), **new.backends}[name] == value


def changed_to(name: str, value: Any) -> NodeParameters:
    return changed(NodeParameters(), [Parameter(name, value=value)])


def test_a_fallback_has_to_fit_its_policy() -> None:
    server = changed_to("policy", "chat_server")
    both = changed(server, [Parameter("fallback_policy", value="reference")])
    assert both.choice.fallback_policy == "reference"
    with pytest.raises(ValueError, match="a fallback stands in for chat_server"):
        changed(both, [Parameter("policy", value="local")])


def test_descriptors_say_what_is_allowed() -> None:
    assert descriptor("time_budget") == ParameterDescriptor(
        name="time_budget",
        type=ParameterType.PARAMETER_DOUBLE,
        description="from acceptance to result [s]; takes effect with the next goal",
        floating_point_range=descriptor("time_budget").floating_point_range,
    )
    assert descriptor("time_budget").floating_point_range[0].to_value == 600.0
    assert descriptor("max_turns").integer_range[0].from_value == 1
    assert descriptor("camera_mode").additional_constraints == "one of: on_demand, always"
    assert descriptor("autostart").read_only


def test_the_node_declares_what_the_dataclass_says(robot: Robot, start: Callable[..., AgentProcess]) -> None:
    start()
    client = robot.node.create_client(DescribeParameters, "/agent/describe_parameters")
    assert client.wait_for_service(PATIENCE)
    robot.connect()
    described = finished(client.call_async(DescribeParameters.Request(names=NAMES)), PATIENCE).descriptors
    assert described == [descriptor(name) for name in NAMES]


def test_a_change_is_checked_and_used_from_the_next_goal_on(robot: Robot, start: Callable[..., AgentProcess]) -> None:
    start(script="never_ends")
    assert robot.ask(image=picture())[1].turns == 8
    for name, value, told in (
        ("max_turns", 0, "max_turns"),
        ("max_turns", 2.5, "Wrong parameter type"),
        ("time_budget", float("nan"), "time_budget"),
        ("camera_mode", "sometimes", "camera_mode is 'sometimes'; allowed: on_demand, always"),
        ("autostart", False, "read-only"),
    ):
        answer = robot.set_parameter(name, value)
        assert not answer.successful
        assert told in answer.reason
    assert robot.set_parameter("max_turns", 3).successful
    _, result = robot.ask(image=picture())
    assert (result.turns, result.error_code) == (3, Result.TURNS_SPENT)


def test_a_whole_number_stands_for_one_with_a_point(robot: Robot, start: Callable[..., AgentProcess]) -> None:
    start("-p", "time_budget:=20", "-p", "local.temperature:=1")
    assert [robot.parameter(name) for name in ("time_budget", "local.temperature")] == [20.0, 1.0]
    assert robot.set_parameter("time_budget", 30).successful
    value = robot.parameter("time_budget")
    assert (type(value), value) == (float, 30.0)
    refused = robot.set_parameter("time_budget", 1000)
    assert "Min: 0.1, Max: 600.0, value: 1000.0" in refused.reason


def test_cameras_are_a_list_and_the_text_of_before_is_taken() -> None:
    assert NodeParameters().camera_names == ()
    assert changed_to("cameras", ["left", "arm/wrist"]).camera_names == ("left", "arm/wrist")
    assert changed_to("cameras", "left, arm/wrist").camera_names == ("left", "arm/wrist")
    assert changed_to("cameras", "").camera_names == ()
    assert descriptor("cameras").type == ParameterType.PARAMETER_STRING_ARRAY
    for names in (["left", "left"], ["1st"], "left, left"):
        with pytest.raises(ValueError, match="allowed: different names"):
            changed_to("cameras", names)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("time_budget", "20s", "write a number, such as 20.0"),
        ("time_budget", True, "write a number, such as 20.0"),
        ("max_turns", 8.0, "write a whole number, such as 8"),
        ("max_turns", "8", "write a whole number, such as 8"),
        ("warm_up", 1, "write true or false"),
        ("warm_up", "yes", "write true or false"),
        ("policy", 7, "in quotes"),
        ("cameras", 7, "a list of texts"),
        ("chat_server.temperature", "hot", "write a number"),
    ],
)
def test_a_value_of_another_type_is_told_with_what_to_write(name: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*{told}"):
        changed_to(name, value)


@pytest.mark.parametrize(("given", "hint"), [("max_turns:=8.0", "8"), ("warm_up:=1", "true"), ("policy:=7", "quotes")])
def test_a_node_that_is_given_another_type_says_so_last(domain: int, given: str, hint: str) -> None:
    with AgentProcess(domain, "-p", given) as agent:
        agent.wait_for(f"{given.partition(':')[0]} is ")
        assert agent.exit_code() == 2
        assert hint in agent.log.strip().splitlines()[-1]
