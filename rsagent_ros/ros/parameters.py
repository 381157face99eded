"""The node's parameters: one frozen dataclass; ROS declarations, ranges and the table in the docs come from it.

A change is checked when it is made, and used from the next goal, activation or configuration on, as each field says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsagent_ros.agent.budget import Budget
from rsagent_ros.backends import POLICIES, SEGMENTERS

Since = Literal["goal", "activation", "configuration", "start"]


@dataclass(frozen=True)
class Spec:
    """What is known about a parameter beside its name, type and default.

    Attributes:
        meaning: One clause.
        unit: Of a number; empty for a count.
        low, high: Range of a number, both included.
        choices: The values of a word.
        since: A change is used from the next goal, activation or configuration on; `start` can't be changed.
    """

    meaning: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    since: Since = "goal"

    @property
    def limits(self) -> str:
        """Range or choices in words; empty where there are none."""
        if self.choices:
            return ", ".join(self.choices)
        return "" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"

    def allows(self, value: object) -> bool:
        """Whether the value is within range or choices. NaN never is."""
        if isinstance(value, str):
            return value in self.choices
        return isinstance(value, bool) or (isinstance(value, int | float) and self.low <= value <= self.high)


def _spec(default: Any, meaning: str, **details: Any) -> Any:
    return field(default=default, metadata={"spec": Spec(meaning, **details)})


_BUDGET = Budget()


@dataclass(frozen=True)
class NodeParameters:
    """Values of all parameters at one moment; a goal keeps those it began with.

    Raises:
        ValueError: A value out of its range or choices; the message says what is allowed.
    """

    autostart: bool = _spec(True, "configure and activate without being asked", since="start")
    policy: str = _spec("reference", "who decides", choices=tuple(sorted(POLICIES)), since="configuration")
    segmenter: str = _spec("classical", "who draws the masks", choices=tuple(sorted(SEGMENTERS)), since="configuration")
    warm_up: bool = _spec(True, "let the models take one turn on a grey image, to find faults", since="configuration")
    time_budget: float = _spec(_BUDGET.seconds, "from acceptance to result", unit="s", low=0.1, high=600.0)
    max_turns: int = _spec(_BUDGET.max_turns, "replies of the policy in one goal", low=1, high=255)
    max_reply_tokens: int = _spec(_BUDGET.max_reply_tokens, "a reply is cut there", unit="tokens", low=16, high=8192)
    max_tokens: int = _spec(_BUDGET.max_tokens, "all replies of a goal together", unit="tokens", low=16, high=100_000)
    view_side: int = _spec(768, "longest side of the clean pictures in the chat", unit="pixels", low=64, high=4096)
    camera_mode: str = _spec(
        "on_demand",
        "subscribe while a goal waits for a frame, or always, with a buffer for goals that name a stamp",
        choices=("on_demand", "always"),
        since="activation",
    )
    image_transport: str = _spec(
        "raw", "`image`, or `image/compressed`", choices=("raw", "compressed"), since="activation"
    )
    image_reliability: str = _spec(
        "best_effort",
        "what is asked of the camera's publisher; best_effort matches any",
        choices=("best_effort", "reliable"),
        since="activation",
    )
    buffer_seconds: float = _spec(5.0, "of frames kept by camera_mode always", unit="s", low=0.1, high=120.0)
    buffer_megabytes: float = _spec(256.0, "of frames kept by camera_mode always", unit="MB", low=1.0, high=16_384.0)
    stamp_tolerance: float = _spec(0.05, "between a goal's stamp and the frame's", unit="s", low=0.0, high=1.0)
    max_frame_age: float = _spec(1.0, "an older frame is not looked at", unit="s", low=0.01, high=60.0)
    frame_timeout: float = _spec(2.0, "a goal waits that long for a frame", unit="s", low=0.05, high=60.0)
    topic_preempts_action: bool = _spec(False, "a goal by topic may take the place of a goal by action")
    hang_grace: float = _spec(
        2.0,
        "a policy or segmenter that goes on that long after its goal has ended is hung",
        unit="s",
        low=0.05,
        high=60.0,
    )
    restart_on_hang: float = _spec(
        0.0, "exit with code 75 after a hang of that length, for launch to start it again; 0: never", unit="s",
        low=0.0, high=3600.0,
    )  # fmt: skip
    jpeg_quality: int = _spec(90, "of the pictures on ~/trace", unit="%", low=1, high=100)
    result_timeout: int = _spec(
        15, "an action result is kept for a client that asks late", unit="s", low=1, high=900, since="start"
    )
    diagnostics_period: float = _spec(
        1.0, "between messages on /diagnostics", unit="s", low=0.1, high=60.0, since="start"
    )

    def __post_init__(self) -> None:
        for name, spec in SPECS.items():
            value = vars(self)[name]
            if not spec.allows(value):
                raise ValueError(f"{name} is {value!r}; allowed: {spec.limits}")


SPECS: dict[str, Spec] = {part.name: part.metadata["spec"] for part in fields(NodeParameters)}


def declare(node: Node) -> NodeParameters:
    """Declare all parameters on the node; returns their values, with what a file or the command line says.

    Raises:
        ValueError: A value out of its range or choices.
        rclpy.exceptions.InvalidParameterTypeException: A value of another type, such as 8 for 8.0.
    """
    values = {}
    for part in fields(NodeParameters):
        # Our own check is the stricter one and has the better sentence: a range is declared after the value was read.
        node.declare_parameter(part.name, part.default, ParameterDescriptor(description=_description(part.name)))
        values[part.name] = node.get_parameter(part.name).value
    parameters = NodeParameters(**values)
    for name in values:
        node.set_descriptor(name, descriptor(name))
    return parameters


def changed(current: NodeParameters, changes: Iterable[Parameter]) -> NodeParameters:
    """The values after a change; parameters that are not ours, such as `use_sim_time`, are passed over.

    Raises:
        ValueError: The change is not allowed, with the reason as a sentence.
    """
    return replace(current, **{change.name: change.value for change in changes if change.name in SPECS})


def descriptor(name: str) -> ParameterDescriptor:
    """What ROS tools show about a parameter."""
    spec = SPECS[name]
    described = ParameterDescriptor(
        name=name,
        description=_description(name),
        additional_constraints=f"one of: {spec.limits}" if spec.choices else "",
        read_only=spec.since == "start",
    )
    default = next(part.default for part in fields(NodeParameters) if part.name == name)
    described.type = Parameter.Type.from_parameter_value(default).value
    if described.type == Parameter.Type.INTEGER.value:
        described.integer_range = [IntegerRange(from_value=int(spec.low), to_value=int(spec.high))]
    elif described.type == Parameter.Type.DOUBLE.value:
        described.floating_point_range = [FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))]
    return described


def _description(name: str) -> str:
    spec = SPECS[name]
    used = "can't be changed" if spec.since == "start" else f"a change is used from the next {spec.since} on"
    return f"{spec.meaning}{f' [{spec.unit}]' if spec.unit else ''}; {used}"


def table() -> str:
    """All parameters as a Markdown table: the one in docs/parameters.md."""
    rows = ["| Parameter | Default | Unit | Allowed | Meaning | A change is used from |", "|---|---|---|---|---|---|"]
    for part in fields(NodeParameters):
        spec = SPECS[part.name]
        flag = isinstance(part.default, bool)
        default = str(part.default).lower() if flag else part.default
        since = "never: read-only" if spec.since == "start" else f"the next {spec.since}"
        columns = (f"`{part.name}`", default, spec.unit, "true, false" if flag else spec.limits, spec.meaning, since)
        rows.append(f"| {' | '.join(map(str, columns))} |")
    return "\n".join(rows) + "\n"
