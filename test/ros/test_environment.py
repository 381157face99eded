"""Says why the other tests of this folder are not there, where ROS is not."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("module", ["rclpy", "rsagent_ros.action"])
def test_ros_is_there(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        pytest.skip(f"no tests of the node: {error}; run `make build`, then `source environment/activate`")
