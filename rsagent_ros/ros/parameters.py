"""The node's parameters: one frozen dataclass; ROS declarations, ranges and the table in the docs come from it.

A change is checked at once, and takes effect with the next goal, activation or configuration, as each field says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from rsagent_ros.agent.budget import MOST_VOTES, Budget
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
    policy: str = _node(
        Choice.policy, "the policy: it chooses every call of a tool", choices=POLICIES, since="configuration"
    )
    segmenter: str = _node(
        Choice.segmenter, "the segmentation model: it draws the masks", choices=SEGMENTERS, since="configuration"
    )
    fallback_policy: str = _node(
        NO_FALLBACK,
        "the policy while the server of chat_server is lost; results are degraded then; empty: none",
        choices=(NO_FALLBACK, *POLICIES),
        since="configuration",
    )
    tracker: str = _node(
        "classical",
        "carries masks from frame to frame; sam2_video uses the settings of sam2, whatever the segmenter",
        choices=("classical", "sam2_video"),
        since="configuration",
    )
    warm_up: bool = _node(
        True, "run the models for one turn on a grey image, to find faults early", since="configuration"
    )
    time_budget: float = _node(_BUDGET.seconds, "from acceptance to result", unit="s", low=0.1, high=600.0)
    max_turns: int = _node(_BUDGET.max_turns, "turns (replies of the policy) per goal", low=1, high=255)
    max_reply_tokens: int = _node(
        _BUDGET.max_reply_tokens, "longest reply; what is longer is cut", unit="tokens", low=16, high=8192
    )
    max_tokens: int = _node(
        _BUDGET.max_tokens, "of all replies to a goal together", unit="tokens", low=16, high=100_000
    )
    second_look: bool = _node(
        _BUDGET.second_look, "verify before FOUND, in a fresh conversation that sees only the crop and the mask"
    )
    second_look_below: float = _node(
        _BUDGET.second_look_below, "with second_look: only of answers less sure than this; 1: all", low=0.01, high=1.0
    )
    cross_check: bool = _node(_BUDGET.cross_check, "with second_look: compare words with box, in both orders")
    votes: int = _node(
        _BUDGET.votes, "most episodes of a goal, which vote while budget is left; 1: no vote", low=1, high=MOST_VOTES
    )
    votes_seconds: float = _node(
        _BUDGET.votes_seconds, "longest wait of the first answer for the other votes", unit="s", low=0.1, high=600.0
    )
    view_side: int = _node(
        Choice.view_side,
        "longest side of the clean images in the chat",
        unit="pixels",
        low=MIN_SIDE,
        high=MAX_SIDE,
        since="configuration",
    )
    cameras: tuple[str, ...] = _node(
        ("",),
        "names of the cameras: `[left, wrist]` for `left/image`, `wrist/image` and so on; the first one is the "
        "default; no names: one camera, `image`",
        since="start",
    )
    camera_mode: str = _node(
        "on_demand",
        "subscribe only while a goal waits for a frame, or always, with a buffer for goals that name a stamp",
        choices=("on_demand", "always"),
        since="activation",
    )
    image_transport: str = _node(
        "raw", "`image`, or `image/compressed`", choices=("raw", "compressed"), since="activation"
    )
    depth_transport: str = _node(
        "raw", "`depth`, or `depth/compressedDepth`", choices=("raw", "compressedDepth"), since="activation"
    )
    image_reliability: str = _node(
        "best_effort",
        "reliability to request; best_effort matches any publisher",
        choices=("best_effort", "reliable"),
        since="activation",
    )
    buffer_seconds: float = _node(5.0, "of frames to keep with camera_mode always", unit="s", low=0.1, high=120.0)
    buffer_megabytes: float = _node(
        256.0, "of frames to keep with camera_mode always", unit="MB", low=1.0, high=16_384.0
    )
    stamp_tolerance: float = _node(
        0.05, "largest difference between a goal's stamp and its frame's", unit="s", low=0.0, high=1.0
    )
    max_frame_age: float = _node(1.0, "older frames are not used", unit="s", low=0.01, high=60.0)
    frame_timeout: float = _node(4.0, "longest wait of a goal for a frame", unit="s", low=0.05, high=60.0)
    queue_policy: str = _node(
        "preempt",
        "when a goal arrives while another runs: replace that one, wait, or be refused",
        choices=("preempt", "queue", "reject"),
    )
    queue_length: int = _node(8, "most goals that wait", low=1, high=1000)
    topic_preempts_action: bool = _node(False, "a goal by topic may pre-empt a goal by action")
    calibration: str = _node(
        "", "file of `rsagent calibrate`, for calibrated confidences; empty: none", since="configuration"
    )
    min_confidence: float = _node(
        0.0, "an answer below this is not FOUND, but AMBIGUOUS or GAVE_UP; best with a calibration", low=0.0, high=1.0
    )
    track_limit: int = _node(8, "most objects tracked per goal", low=1, high=64)
    track_megabytes: float = _node(
        128.0, "of frames to keep for tracking while the agent thinks", unit="MB", low=1.0, high=16_384.0
    )
    catch_up_seconds: float = _node(
        0.5,
        "longest time to carry masks from the frame they were found on to the newest one",
        unit="s",
        low=0.0,
        high=10.0,
    )
    track_lost_timeout: float = _node(
        10.0, "tracking of an object stops after it was lost this long", unit="s", low=0.05, high=3600.0
    )
    reground_after: float = _node(
        1.0, "re-detection starts after an object was lost this long, if its goal asks for that", unit="s",
        low=0.05, high=600.0,
    )  # fmt: skip
    reground_tries: int = _node(3, "most re-detections, each after twice the wait of the previous one", low=1, high=100)
    output_frame: str = _node("", "tf2 frame of poses; empty: the camera's optical frame", since="activation")
    object_frames: bool = _node(
        False, "publish a tf frame for each tracked object, such as agent/track_7", since="activation"
    )
    hang_grace: float = _node(
        2.0,
        "a policy or segmenter still busy this long after its goal has ended counts as hung",
        unit="s",
        low=0.05,
        high=60.0,
    )
    restart_on_hang: float = _node(
        0.0, "exit with code 75 after a hang of this length, so that launch restarts the node; 0: never", unit="s",
        low=0.0, high=3600.0,
    )  # fmt: skip
    log_format: str = _node("text", "format of the log's lines about goals", choices=("text", "json"))
    record_dir: str = _node("", "folder for the records of goals; empty: no records", since="activation")
    record_megabytes: float = _node(
        _LIMITS.megabytes,
        "most disk space of all records; the oldest are removed first",
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
        "disk space that records leave free",
        unit="MB",
        low=0.0,
        high=10_000_000.0,
        since="activation",
    )
    record_redaction: str = _node(
        "none",
        "what to remove from images before they are recorded: faces, as far as OpenCV finds them, or everything that "
        "is not near a mask",
        choices=REDACTIONS,
        since="activation",
    )
    candidate: str = _node(
        "",
        "file that names other models, which answer the judged goals of record_dir while the node is idle, and may be "
        "promoted if they are better; empty: none",
        since="activation",
    )
    shadow_dir: str = _node(
        "",
        "folder for the candidate's answers and for promotions; empty: `shadow` in record_dir",
        since="configuration",
    )
    shadow_idle: float = _node(
        30.0, "idle time before the candidate runs; it pauses when a goal arrives", unit="s", low=0.0, high=86_400.0
    )
    shadow_goals: int = _node(GOALS, "fewest judged goals that a promotion needs", low=2, high=1000, since="activation")
    result_masks: str = _node(
        "full",
        "pixels of the masks in results, or none, so that `ros2 topic echo` and `ros2 action send_goal` stay readable: "
        "boxes and areas are there still, pixels on ~/mask and ~/label_image",
        choices=("full", "none"),
    )
    overlay_style: str = _node(
        "people",
        "pictures on ~/overlay: masks and answer with fill, outline and label, or what the policy is shown",
        choices=("people", "model"),
    )
    jpeg_quality: int = _node(90, "JPEG quality of the images on ~/trace", unit="%", low=1, high=100)
    result_timeout: int = _node(
        15, "how long an action result is kept for a client that asks late", unit="s", low=1, high=900, since="start"
    )
    diagnostics_period: float = _node(1.0, "period of /diagnostics", unit="s", low=0.1, high=60.0, since="start")

    backends: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    """Settings of policies and segmenters, by names such as `local.checkpoint`: parameters of their own."""

    def __post_init__(self) -> None:
        check(self)
        names = self.camera_names
        if len(set(names)) < len(names) or not all(re.fullmatch(r"[A-Za-z]\w*(/[A-Za-z]\w*)*", name) for name in names):
            raise ValueError(
                f"cameras is {list(self.cameras)}; allowed: different names that a topic's name can begin with, or none"
            )
        _ = self.choice  # refused here, where somebody sets it, not when the models load

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of the cameras; none where there is one camera without a name."""
        return tuple(name for name in self.cameras if name)

    @property
    def choice(self) -> Choice:
        """Policy and segmenter, and their settings."""
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


_WRITTEN: dict[type, str] = {
    bool: "true or false",
    int: "a whole number, such as 8",
    float: "a number, such as 20.0",
    str: "a text; one that looks like a number or a list in quotes, as in name:=\"'7'\"",
    tuple: "a list of texts, such as [left, wrist]",
}


def declare(node: Node) -> NodeParameters:
    """Declare all parameters on the node; returns their values, with what a file or the command line says.

    Raises:
        ValueError: A value out of its range or choices, or of another type; the message says what to write.
    """
    values = {}
    for name, parameter in PARAMETERS.items():
        # Our own check is the stricter one and has the better sentence: types and ranges are declared after the value
        # was read.
        default = [*parameter.default] if isinstance(parameter.default, tuple) else parameter.default
        node.declare_parameter(name, default, ParameterDescriptor(description=_description(name), dynamic_typing=True))
        if isinstance(default, float):
            node.set_parameters(whole_as_float([node.get_parameter(name)]))
        values[name] = node.get_parameter(name).value
    parameters = _with(NodeParameters(), values)
    for name in (name for name, value in values.items() if _is_old_list(name, value)):
        node.get_logger().warning(
            f"{name} is the text {values[name]!r}, which is deprecated: write a list, {[*getattr(parameters, name)]}"
        )
    for name in values:
        node.set_descriptor(name, descriptor(name))
    return parameters


def whole_as_float(changes: Iterable[Parameter]) -> list[Parameter]:
    """The changes of parameters with whole numbers, such as 8, as the numbers with a point that they stand for."""
    return [
        Parameter(change.name, value=float(change.value))
        if change.name in PARAMETERS
        and isinstance(PARAMETERS[change.name].default, float)
        and change.type_ == Parameter.Type.INTEGER
        else change
        for change in changes
    ]


def changed(current: NodeParameters, changes: Iterable[Parameter]) -> NodeParameters:
    """The values after a change; parameters that are not ours, such as `use_sim_time`, are passed over.

    Raises:
        ValueError: The change is not allowed, with the reason as a sentence.
    """
    return _with(current, {change.name: change.value for change in changes if change.name in PARAMETERS})


def _with(current: NodeParameters, values: Mapping[str, Any]) -> NodeParameters:
    taken = {name: _taken(name, value) for name, value in values.items()}
    own = {name: value for name, value in taken.items() if name not in SETTINGS}
    backends = {name: value for name, value in taken.items() if name in SETTINGS}
    return replace(current, **own, backends={**current.backends, **backends})


def _is_old_list(name: str, value: Any) -> bool:
    """Whether a list is given as releases up to 0.1.0 had it: as text, with commas."""
    return isinstance(PARAMETERS[name].default, tuple) and isinstance(value, str)


def _taken(name: str, value: Any) -> Any:
    """A value of ROS as the dataclass has it.

    Raises:
        ValueError: It is of another type; the message says what to write.
    """
    default = PARAMETERS[name].default
    if _is_old_list(name, value):
        value = value.split(",")
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(str(part).strip() for part in value)
    if type(value) is not type(default):
        limits = PARAMETERS[name].setting.limits
        raise ValueError(
            f"{name} is {value!r}; {f'allowed: {limits}; ' if limits else ''}write {_WRITTEN[type(default)]}"
        )
    return value


def descriptor(name: str) -> ParameterDescriptor:
    """The descriptor of a parameter, as ROS tools show it."""
    parameter = PARAMETERS[name]
    spec = parameter.setting
    described = ParameterDescriptor(
        name=name,
        description=_description(name),
        additional_constraints=f"one of: {spec.limits}" if spec.choices else "",
        read_only=parameter.since == "start",
    )
    described.type = Parameter.Type.from_parameter_value(parameter.default).value
    described.dynamic_typing = isinstance(parameter.default, tuple)
    if described.type == Parameter.Type.INTEGER.value:
        described.integer_range = [IntegerRange(from_value=int(spec.low), to_value=int(spec.high))]
    elif described.type == Parameter.Type.DOUBLE.value:
        described.floating_point_range = [FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))]
    return described


def _description(name: str) -> str:
    spec, since = PARAMETERS[name].setting, PARAMETERS[name].since
    effect = "read-only" if since == "start" else f"takes effect with the next {since}"
    return f"{spec.meaning}{f' [{spec.unit}]' if spec.unit else ''}; {effect}"


def table() -> str:
    """Parameters as the Markdown table of docs/parameters.md."""
    rows = ["| Parameter | Default | Unit | Allowed | Meaning | Takes effect |", "|---|---|---|---|---|---|"]
    for name, parameter in PARAMETERS.items():
        spec, default = parameter.setting, parameter.default
        allowed = "true, false" if isinstance(default, bool) else spec.limits
        effect = "at start; read-only" if parameter.since == "start" else f"next {parameter.since}"
        columns = (f"`{name}`", _written(default), spec.unit, allowed, spec.meaning, effect)
        rows.append(f"| {' | '.join(columns)} |")
    return "\n".join(rows) + "\n"


def _written(default: Any) -> str:
    """A default as YAML has it."""
    if isinstance(default, bool):
        return str(default).lower()
    return str([*default]) if isinstance(default, tuple) else str(default) if default != "" else "(empty)"
