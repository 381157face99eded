"""The node takes the parameters that an earlier release was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from golden_copy import GOLDEN
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from ros_support import PATIENCE, REAL_AGENT, ROOT, AgentProcess, Robot

from rsagent_ros.ros.client.action_client import finished


def test_every_parameter_of_then_is_taken(tmp_path: Path, domain: int, robot: Robot) -> None:
    file = GOLDEN / "config" / "agent.yaml"
    given = _parameters(file)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    kept = {name: value for name, value in given.items() if f"`{name}` is gone" not in changelog}
    assert len(kept) > 60
    with AgentProcess(domain, "--params-file", str(file), program=[str(REAL_AGENT)]) as agent:
        agent.ready()
        client = robot.node.create_client(GetParameters, "/agent/get_parameters")
        assert client.wait_for_service(PATIENCE)
        answer = finished(client.call_async(GetParameters.Request(names=[*kept])), PATIENCE)
    assert len(answer.values) == len(kept), "a name that is not declared: none is answered"
    assert {name: parameter_value_to_python(value) for name, value in zip(kept, answer.values, strict=True)} == kept


def _parameters(path: Path) -> dict[str, Any]:
    """By their names with dots, as ROS has them."""
    (node,) = yaml.safe_load(path.read_bytes()).values()
    flat: dict[str, Any] = {}

    def flatten(prefix: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                flatten(f"{prefix}{name}.", value)
            else:
                flat[f"{prefix}{name}"] = value

    flatten("", node["ros__parameters"])
    return flat
