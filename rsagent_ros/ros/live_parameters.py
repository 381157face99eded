"""`LiveParameters`: the node's parameters as they are now, declared, checked and kept up."""

from __future__ import annotations

from collections.abc import Iterable

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsagent_ros.ros.parameters import NodeParameters, changed, declare, whole_as_float


class LiveParameters:
    """Holds the newest values; a goal keeps those of its admission. Thread-safe."""

    def __init__(self, node: Node) -> None:
        """Declare all parameters on a node, and check each change of them from now on.

        Raises:
            ValueError: A value out of its range or choices, or of another type.
        """
        self._now = declare(node)
        node.add_pre_set_parameters_callback(whole_as_float)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._take)

    def now(self) -> NodeParameters:
        """The values of this moment."""
        return self._now

    def _check(self, changes: Iterable[Parameter]) -> SetParametersResult:
        try:
            changed(self._now, changes)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _take(self, changes: Iterable[Parameter]) -> None:
        self._now = changed(self._now, changes)
