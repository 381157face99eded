"""Starts the agent: `ros2 launch rsagent_ros agent.launch.py image:=/camera/color/image_raw`.

`--show-args` lists all arguments.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable, TimerAction
from launch.events.process import ProcessExited
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

from rsagent_ros.backends import POLICIES, SEGMENTERS

CONFIG = PathJoinSubstitution([FindPackageShare("rsagent_ros"), "config"])
PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
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
        description="Parameters of the node; the arguments below, where given, come first.",
    ),
    DeclareLaunchArgument(
        "policy",
        default_value=FROM_FILE,
        choices=[FROM_FILE, *sorted(POLICIES)],
        description="Who decides; empty: as params_file says.",
    ),
    DeclareLaunchArgument(
        "segmenter",
        default_value=FROM_FILE,
        choices=[FROM_FILE, *sorted(SEGMENTERS)],
        description="Who draws the masks; empty: as params_file says.",
    ),
    DeclareLaunchArgument(
        "camera_mode",
        default_value=FROM_FILE,
        choices=[FROM_FILE, "on_demand", "always"],
        description="Subscribe for each goal, or always; empty: as params_file says.",
    ),
    DeclareLaunchArgument(
        "image_transport",
        default_value=FROM_FILE,
        choices=[FROM_FILE, "raw", "compressed"],
        description="What the camera publishes; empty: as params_file says.",
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
        default_value=EnvironmentVariable(PROFILE, default_value=PathJoinSubstitution([CONFIG, "fastdds.xml"])),
        description="Fast DDS settings, for large images; the camera needs them too. Other middlewares ignore it.",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="true",
        choices=["true", "false"],
        description="Start the node again after a crash, and after a hang that restart_on_hang ended.",
    ),
)

OVERRIDES = ("policy", "segmenter", "camera_mode", "image_transport")
"""Arguments that are parameters of the node, used where they are given."""


def agent(context: LaunchContext) -> list[LifecycleNode]:
    """The node. It configures and activates itself (parameter `autostart`)."""
    given = {name: LaunchConfiguration(name).perform(context) for name in OVERRIDES}
    overrides: dict[str, object] = {name: value for name, value in given.items() if value != FROM_FILE}
    overrides["use_sim_time"] = LaunchConfiguration("use_sim_time").perform(context) == "true"
    again = LaunchConfiguration("respawn").perform(context) == "true"
    return [
        LifecycleNode(
            package="rsagent_ros",
            executable="agent_node",
            namespace=LaunchConfiguration("namespace"),
            name=LaunchConfiguration("name"),
            parameters=[LaunchConfiguration("params_file"), overrides],
            remappings=[(topic, LaunchConfiguration(topic)) for topic in ("image", "camera_info", "depth")],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
            on_exit=restart if again else None,
            output="screen",
        )
    ]


def restart(event: ProcessExited, context: LaunchContext) -> list[LogInfo | TimerAction]:
    """Start the node again in a while, unless it ended for good. launch's own `respawn` would not look at the code."""
    if event.returncode in FINAL or context.is_shutdown:
        return []
    return [
        LogInfo(msg=f"the agent ended with exit code {event.returncode}; it is started again in 2 s"),
        TimerAction(period=2.0, actions=[OpaqueFunction(function=agent)]),
    ]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    profile = SetEnvironmentVariable(PROFILE, LaunchConfiguration("fastdds_profile"))
    return LaunchDescription([*ARGUMENTS, profile, OpaqueFunction(function=agent)])
