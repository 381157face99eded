"""Starts the agent: `ros2 launch rsagent_ros agent.launch.py image:=/camera/color/image_raw`.

`serve:=true` starts a model server first, as a recipe of config/serve says, and the agent once that is healthy.
`--show-args` lists all arguments. With `cameras:="[left, wrist]"`, `left/image:=/left_camera/image_raw` and so on remap
the topics of each camera.
"""

import sys
from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.event_handlers import OnProcessIO
from launch.events import Shutdown
from launch.events.process import ProcessExited, ProcessIO
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from rsagent_ros.model_server.program import READY
from rsagent_ros.model_server.recipe import load
from rsagent_ros.ros.parameters import PARAMETERS

CONFIG = PathJoinSubstitution([FindPackageShare("rsagent_ros"), "config"])
PROFILE, PROFILE_SINCE_3 = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"
"""Variables that Fast DDS reads: until release 2 (Jazzy), and since release 3 (Kilted). Both are set."""

TOPICS = ("image", "camera_info", "depth")
FROM_FILE = ""
FINAL = (0, 2)
"""Exit codes after which the node is not started again: it was asked to end, or its parameters are wrong."""

ARGUMENTS = (
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and its topics."),
    DeclareLaunchArgument("name", default_value="agent", description="Name of the node."),
    DeclareLaunchArgument("image", default_value="image", description="Topic of the camera's images."),
    DeclareLaunchArgument("camera_info", default_value="camera_info", description="Topic of its calibration."),
    DeclareLaunchArgument("depth", default_value="depth", description="Topic of depth images aligned with its images."),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([CONFIG, "agent.yaml"]),
        description="Parameters of the node. Each is an argument too, and one that is given comes first.",
    ),
    DeclareLaunchArgument(
        "serve",
        default_value="false",
        choices=["true", "false"],
        description="Start a model server (vLLM) too, keep it up, and let it decide.",
    ),
    DeclareLaunchArgument(
        "recipe",
        default_value=PathJoinSubstitution([CONFIG, "serve", "desktop_24gb.yaml"]),
        description="What serve:=true runs: model, context, memory, adapters.",
    ),
    DeclareLaunchArgument(
        "vllm",
        default_value=FROM_FILE,
        description="The vllm of its own environment; empty: as the recipe says.",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=["true", "false"], description="Take the time from /clock."
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="What the node logs.",
    ),
    DeclareLaunchArgument(
        "fastdds_profile",
        default_value=EnvironmentVariable(
            PROFILE,
            default_value=EnvironmentVariable(
                PROFILE_SINCE_3, default_value=PathJoinSubstitution([CONFIG, "fastdds.xml"])
            ),
        ),
        description="Fast DDS settings, for large images; the camera needs them too. Other middlewares ignore it.",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="true",
        choices=["true", "false"],
        description="Start the node again after a crash, and after a hang that restart_on_hang ended.",
    ),
)


def _overriding(name: str) -> DeclareLaunchArgument:
    """An argument for a parameter of the node, used where it is given."""
    known, default = PARAMETERS[name].setting, PARAMETERS[name].default
    choices = ["true", "false"] if isinstance(default, bool) else [*known.choices]
    return DeclareLaunchArgument(
        name,
        default_value=FROM_FILE,
        choices=[*dict.fromkeys([FROM_FILE, *choices])] if choices else None,
        description=f"{known.meaning}; empty: as params_file says.",
    )


def _type(name: str, text: str) -> object:
    """Type of a parameter that is given as this text. The node takes a list as text with commas, too, and warns."""
    default = PARAMETERS[name].default
    if isinstance(default, tuple):
        return list[str] if text.lstrip().startswith("[") else str
    return type(default)


def agent(context: LaunchContext) -> list[LifecycleNode]:
    """The node. It configures and activates itself (parameter `autostart`)."""
    overrides: dict[str, object] = served(context) if _true("serve", context) else {}
    for name in PARAMETERS:
        text = LaunchConfiguration(name).perform(context)
        if text != FROM_FILE:
            overrides[name] = ParameterValue(LaunchConfiguration(name), value_type=_type(name, text))
    overrides["use_sim_time"] = _true("use_sim_time", context)
    again = _true("respawn", context)
    return [
        LifecycleNode(
            package="rsagent_ros",
            executable="agent_node",
            namespace=LaunchConfiguration("namespace"),
            name=LaunchConfiguration("name"),
            parameters=[LaunchConfiguration("params_file"), overrides],
            remappings=remappings(context),
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            on_exit=restart if again else None,
            output="screen",
        )
    ]


def remappings(context: LaunchContext) -> list[tuple[str, str]]:
    """Topics of the camera, or, where `cameras` names several, those of each that are given, such as `left/image`."""
    given = context.launch_configurations
    names = [name.strip(" '\"") for name in given.get("cameras", "").strip("[] ").split(",")]
    topics = [f"{prefix}{topic}" for prefix in ("", *(f"{name}/" for name in names if name)) for topic in TOPICS]
    return [(topic, given[topic]) for topic in topics if topic in given]


def restart(event: ProcessExited, context: LaunchContext) -> list[LogInfo | TimerAction]:
    """Start the node again in a while, unless it ended for good. launch's own `respawn` would not look at the code."""
    if event.returncode in FINAL or context.is_shutdown:
        return []
    return [
        LogInfo(msg=f"the agent ended with exit code {event.returncode}; it is started again in 2 s"),
        TimerAction(period=2.0, actions=[OpaqueFunction(function=agent)]),
    ]


def served(context: LaunchContext) -> dict[str, object]:
    """The parameters that make the node ask the server which the recipe describes."""
    recipe = load(Path(LaunchConfiguration("recipe").perform(context)))
    return {
        "policy": "chat_server",
        "chat_server.model": recipe.served_name or recipe.model,
        "chat_server.base_url": f"{recipe.root}/v1",
        "chat_server.family": recipe.family,
        "chat_server.max_images": recipe.max_images,
        "view_side": recipe.side,
    }


def server_first(context: LaunchContext) -> list[Action]:
    """The agent; with `serve`, the model server, and the agent once that has said that it is healthy."""
    if not _true("serve", context):
        return list(agent(context))
    load(Path(LaunchConfiguration("recipe").perform(context)))  # what is wrong with it is said before anything starts
    vllm = LaunchConfiguration("vllm").perform(context)
    server = ExecuteProcess(
        cmd=[
            *(sys.executable, "-m", "rsagent_ros.model_server", LaunchConfiguration("recipe")),
            *(["--executable", vllm] if vllm else []),
        ],
        name="model_server",
        output="screen",
        sigterm_timeout="20",  # it lets the server end first, which frees the GPU's memory
        on_exit=EmitEvent(event=Shutdown(reason="the model server ended for good")),
    )
    started: list[ProcessIO] = []

    def healthy(event: ProcessIO) -> list[Action]:
        """Start the agent at the first such line; after a restart of the server it is there already."""
        if started or READY not in event.text.decode(errors="replace"):
            return []
        started.append(event)
        return [OpaqueFunction(function=agent)]

    return [server, RegisterEventHandler(OnProcessIO(target_action=server, on_stdout=healthy))]


def _true(name: str, context: LaunchContext) -> bool:
    return LaunchConfiguration(name).perform(context) == "true"


def generate_launch_description() -> LaunchDescription:
    """Description that `ros2 launch` runs."""
    profile = LaunchConfiguration("fastdds_profile")
    variables = [SetEnvironmentVariable(name, profile) for name in (PROFILE, PROFILE_SINCE_3)]
    overriding = map(_overriding, PARAMETERS)
    return LaunchDescription([*ARGUMENTS, *overriding, *variables, OpaqueFunction(function=server_first)])
