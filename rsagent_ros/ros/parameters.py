"""The node's parameters: one frozen dataclass; ROS declarations, ranges and the table in the docs come from it.

A change is checked when it is made, and used from the next goal, activation or configuration on, as each field says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsagent_ros.agent.budget import Budget
from rsagent_ros.backends import DEFAULTS, MAX_SIDE, MIN_SIDE, NO_FALLBACK, POLICIES, SEGMENTERS, SETTINGS, Choice
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.record import REDACTIONS
from rsagent_ros.settings import Setting, check, setting
from rsagent_ros.shadow.paired_result import GOALS

Since = Literal["goal", "activation", "configuration", "start"]


def _node(default: Any, meaning: str, *, since: Since = "goal", **details: Any) -> Any:
    return setting(default, meaning, since=since, **details)


_BUDGET, _LIMITS = Budget(), Limits()


@dataclass(frozen=True)
class NodeParameters:
    """Values of all parameters at one moment; a goal keeps those it began with.

    Raises:
        ValueError: A value out of its range or choices; the message says what is allowed.
    """

    autostart: bool = _node(True, "configure and activate without being asked", since="start")
    policy: str = _node(Choice.policy, "who decides", choices=POLICIES, since="configuration")
    segmenter: str = _node(Choice.segmenter, "who draws the masks", choices=SEGMENTERS, since="configuration")
    fallback_policy: str = _node(
        NO_FALLBACK,
        "who decides while the server of chat_server is lost; results are degraded then; empty: nobody",
        choices=(NO_FALLBACK, *POLICIES),
        since="configuration",
    )
    tracker: str = _node(
        "classical",
        "who follows what was found; sam2_video uses what is set about sam2",
        choices=("classical", "sam2_video"),
        since="configuration",
    )
    warm_up: bool = _node(True, "let the models take one turn on a grey image, to find faults", since="configuration")
    time_budget: float = _node(_BUDGET.seconds, "from acceptance to result", unit="s", low=0.1, high=600.0)
    max_turns: int = _node(_BUDGET.max_turns, "replies of the policy in one goal", low=1, high=255)
    max_reply_tokens: int = _node(_BUDGET.max_reply_tokens, "a reply is cut there", unit="tokens", low=16, high=8192)
    max_tokens: int = _node(_BUDGET.max_tokens, "all replies of a goal together", unit="tokens", low=16, high=100_000)
    second_look: bool = _node(
        _BUDGET.second_look, "ask again before FOUND, in a fresh conversation that sees only the crop and the mask"
    )
    view_side: int = _node(
        Choice.view_side,
        "longest side of the clean pictures in the chat",
        unit="pixels",
        low=MIN_SIDE,
        high=MAX_SIDE,
        since="configuration",
    )
    cameras: str = _node(
        "",
        "names of the cameras, separated by commas: `left, wrist` for `left/image`, `wrist/image` and so on; the first "
        "one is the default; empty: one camera, `image`",
        since="start",
    )
    camera_mode: str = _node(
        "on_demand",
        "subscribe while a goal waits for a frame, or always, with a buffer for goals that name a stamp",
        choices=("on_demand", "always"),
        since="activation",
    )
    image_transport: str = _node(
        "raw", "`image`, or `image/compressed`", choices=("raw", "compressed"), since="activation"
    )
    image_reliability: str = _node(
        "best_effort",
        "what is asked of the camera's publisher; best_effort matches any",
        choices=("best_effort", "reliable"),
        since="activation",
    )
    buffer_seconds: float = _node(5.0, "of frames kept by camera_mode always", unit="s", low=0.1, high=120.0)
    buffer_megabytes: float = _node(256.0, "of frames kept by camera_mode always", unit="MB", low=1.0, high=16_384.0)
    stamp_tolerance: float = _node(0.05, "between a goal's stamp and the frame's", unit="s", low=0.0, high=1.0)
    max_frame_age: float = _node(1.0, "an older frame is not looked at", unit="s", low=0.01, high=60.0)
    frame_timeout: float = _node(4.0, "a goal waits that long for a frame", unit="s", low=0.05, high=60.0)
    queue_policy: str = _node(
        "preempt",
        "what becomes of a goal that comes while another runs: it takes its place, waits, or is refused",
        choices=("preempt", "queue", "reject"),
    )
    queue_length: int = _node(8, "goals that wait at most", low=1, high=1000)
    topic_preempts_action: bool = _node(False, "a goal by topic may pre-empt a goal by action")
    calibration: str = _node(
        "", "file of `rsagent calibrate`, for confidences that are probabilities; empty: none", since="configuration"
    )
    min_confidence: float = _node(
        0.0, "below it an answer is AMBIGUOUS or GAVE_UP instead of FOUND; best with a calibration", low=0.0, high=1.0
    )
    track_limit: int = _node(8, "things of one goal that are followed", low=1, high=64)
    track_megabytes: float = _node(
        128.0, "of frames kept for tracks while the agent thinks", unit="MB", low=1.0, high=16_384.0
    )
    catch_up_seconds: float = _node(
        0.5, "to carry masks from the frame they were found on to the newest one", unit="s", low=0.0, high=10.0
    )
    track_lost_timeout: float = _node(
        10.0, "a thing that was lost for so long is followed no more", unit="s", low=0.05, high=3600.0
    )
    reground_after: float = _node(
        1.0, "the agent looks again for what was lost for so long, where its goal asks for that", unit="s",
        low=0.05, high=600.0,
    )  # fmt: skip
    reground_tries: int = _node(3, "looks of the agent, each after twice the time of the one before", low=1, high=100)
    output_frame: str = _node(
        "", "frame of poses, where tf2 knows it; empty: the camera's optical frame", since="activation"
    )
    hang_grace: float = _node(
        2.0,
        "a policy or segmenter that goes on that long after its goal has ended is hung",
        unit="s",
        low=0.05,
        high=60.0,
    )
    restart_on_hang: float = _node(
        0.0, "exit with code 75 after a hang of that length, for launch to start it again; 0: never", unit="s",
        low=0.0, high=3600.0,
    )  # fmt: skip
    log_format: str = _node("text", "of the lines about goals in the node's log", choices=("text", "json"))
    record_dir: str = _node("", "folder for the records of goals; empty: none are written", since="activation")
    record_megabytes: float = _node(
        _LIMITS.megabytes,
        "of all records; the oldest goals are removed first",
        unit="MB",
        low=1.0,
        high=10_000_000.0,
        since="activation",
    )
    record_days: float = _node(
        _LIMITS.days, "older records are removed", unit="days", low=0.001, high=36_500.0, since="activation"
    )
    record_free_megabytes: float = _node(
        _LIMITS.free_megabytes,
        "of the disk that records leave free",
        unit="MB",
        low=0.0,
        high=10_000_000.0,
        since="activation",
    )
    record_redaction: str = _node(
        "none",
        "what is taken out of the images of records before they are written: faces, as far as OpenCV finds them, or "
        "all that is not near a mask",
        choices=REDACTIONS,
        since="activation",
    )
    candidate: str = _node(
        "",
        "file of another choice of models, which answers the judged goals of record_dir while the node is idle, and "
        "may be promoted if it is better; empty: none",
        since="activation",
    )
    shadow_dir: str = _node(
        "",
        "folder for a candidate's answers, and for who was promoted; empty: `shadow` in record_dir",
        since="configuration",
    )
    shadow_idle: float = _node(
        30.0, "without a goal, before a candidate plays; it pauses when one comes", unit="s", low=0.0, high=86_400.0
    )
    shadow_goals: int = _node(
        GOALS, "judged goals that a promotion takes at least", low=2, high=1000, since="activation"
    )
    promote_by_itself: bool = _node(False, "promote a candidate that is better beyond doubt without being asked")
    jpeg_quality: int = _node(90, "of the pictures on ~/trace", unit="%", low=1, high=100)
    result_timeout: int = _node(
        15, "an action result is kept for a client that asks late", unit="s", low=1, high=900, since="start"
    )
    diagnostics_period: float = _node(
        1.0, "between messages on /diagnostics", unit="s", low=0.1, high=60.0, since="start"
    )

    backends: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    """What is set about policies and segmenters, by names such as `local.checkpoint`: parameters of their own."""

    def __post_init__(self) -> None:
        check(self)
        names = self.camera_names
        if len(set(names)) < len(names) or not all(re.fullmatch(r"[A-Za-z]\w*(/[A-Za-z]\w*)*", name) for name in names):
            raise ValueError(
                f"cameras is {self.cameras!r}; allowed: different names that a topic's name can begin with, or none"
            )
        _ = self.choice  # refused here, where somebody sets it, not when the models load

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Of the cameras that have names."""
        return tuple(name for part in self.cameras.split(",") if (name := part.strip()))

    @property
    def choice(self) -> Choice:
        """Policy and segmenter, and what is set about them."""
        return Choice(self.policy, self.segmenter, self.fallback_policy, self.view_side, self.backends)


@dataclass(frozen=True)
class _Parameter:
    """One ROS parameter: of the node, or of a backend."""

    default: Any
    setting: Setting
    since: Since


PARAMETERS: dict[str, _Parameter] = {
    part.name: _Parameter(part.default, part.metadata["setting"], part.metadata["since"])
    for part in fields(NodeParameters)
    if "setting" in part.metadata
} | {name: _Parameter(DEFAULTS[name], known, "configuration") for name, known in SETTINGS.items()}


def declare(node: Node) -> NodeParameters:
    """Declare all parameters on the node; returns their values, with what a file or the command line says.

    Raises:
        ValueError: A value out of its range or choices.
        rclpy.exceptions.InvalidParameterTypeException: A value of another type, such as 8 for 8.0.
    """
    values = {}
    for name, parameter in PARAMETERS.items():
        # Our own check is the stricter one and has the better sentence: a range is declared after the value was read.
        node.declare_parameter(name, parameter.default, ParameterDescriptor(description=_description(name)))
        values[name] = node.get_parameter(name).value
    parameters = _with(NodeParameters(), values)
    for name in values:
        node.set_descriptor(name, descriptor(name))
    return parameters


def changed(current: NodeParameters, changes: Iterable[Parameter]) -> NodeParameters:
    """The values after a change; parameters that are not ours, such as `use_sim_time`, are passed over.

    Raises:
        ValueError: The change is not allowed, with the reason as a sentence.
    """
    return _with(current, {change.name: change.value for change in changes if change.name in PARAMETERS})


def _with(current: NodeParameters, values: Mapping[str, Any]) -> NodeParameters:
    own = {name: value for name, value in values.items() if name not in SETTINGS}
    backends = {name: value for name, value in values.items() if name in SETTINGS}
    return replace(current, **own, backends={**current.backends, **backends})


def descriptor(name: str) -> ParameterDescriptor:
    """What ROS tools show about a parameter."""
    parameter = PARAMETERS[name]
    spec = parameter.setting
    described = ParameterDescriptor(
        name=name,
        description=_description(name),
        additional_constraints=f"one of: {spec.limits}" if spec.choices else "",
        read_only=parameter.since == "start",
    )
    described.type = Parameter.Type.from_parameter_value(parameter.default).value
    if described.type == Parameter.Type.INTEGER.value:
        described.integer_range = [IntegerRange(from_value=int(spec.low), to_value=int(spec.high))]
    elif described.type == Parameter.Type.DOUBLE.value:
        described.floating_point_range = [FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))]
    return described


def _description(name: str) -> str:
    spec, since = PARAMETERS[name].setting, PARAMETERS[name].since
    used = "can't be changed" if since == "start" else f"a change is used from the next {since} on"
    return f"{spec.meaning}{f' [{spec.unit}]' if spec.unit else ''}; {used}"


def table(names: Iterable[str] = tuple(PARAMETERS)) -> str:
    """Parameters as a Markdown table: all of them in docs/parameters.md, the node's own in the README."""
    rows = ["| Parameter | Default | Unit | Allowed | Meaning | A change is used from |", "|---|---|---|---|---|---|"]
    for name in names:
        parameter = PARAMETERS[name]
        spec, default = parameter.setting, parameter.default
        flag = isinstance(default, bool)
        written = str(default).lower() if flag else default if default != "" else "(empty)"
        since = "never: read-only" if parameter.since == "start" else f"the next {parameter.since}"
        columns = (f"`{name}`", written, spec.unit, "true, false" if flag else spec.limits, spec.meaning, since)
        rows.append(f"| {' | '.join(map(str, columns))} |")
    return "\n".join(rows) + "\n"
