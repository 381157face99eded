"""Plays a bag through the live agent: `ros2 launch rsagent_ros replay.launch.py bag:=my_bag image:=/camera/image`.

The agent takes its time from the bag and keeps its images (camera_mode always), so that goals look at what was new when
they came; `rsagent replay` does the same without ROS. Results are on `~/result`; with record_dir, in records, too.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    DeclareLaunchArgument("bag", description="Folder of the bag, or one .mcap file; a record is one, too."),
    DeclareLaunchArgument("image", default_value="/camera/image", description="Topic of the images in the bag."),
    DeclareLaunchArgument(
        "camera_info", default_value="/camera/camera_info", description="Topic of their calibration in the bag."
    ),
    DeclareLaunchArgument("depth", default_value="/camera/depth", description="Topic of depth images in the bag."),
    DeclareLaunchArgument(
        "image_transport", default_value="raw", choices=["raw", "compressed"], description="Of the images in the bag."
    ),
    DeclareLaunchArgument(
        "depth_transport",
        default_value="raw",
        choices=["raw", "compressedDepth"],
        description="Of the depth images in the bag.",
    ),
    DeclareLaunchArgument("goal", default_value="/agent/goal", description="Topic of the goals in the bag."),
    DeclareLaunchArgument("goal_text", default_value="/agent/goal_text", description="Of goals in plain text."),
    DeclareLaunchArgument("policy", default_value="", description="Vision-language model; empty: as params_file says."),
    DeclareLaunchArgument("segmenter", default_value="", description="Segmentation model; empty: as params_file says."),
    DeclareLaunchArgument("record_dir", default_value="", description="Folder for the records; empty: none."),
    DeclareLaunchArgument(
        "delay", default_value="10.0", description="Seconds until the bag starts: the agent loads its models first."
    ),
    DeclareLaunchArgument("rate", default_value="1.0", description="How fast it is played; slower for slow models."),
    DeclareLaunchArgument(
        "grace", default_value="10.0", description="Seconds for the last goal, after the bag has ended."
    ),
)


def generate_launch_description() -> LaunchDescription:
    """Description that `ros2 launch` runs."""
    agent = IncludeLaunchDescription(
        PathJoinSubstitution([FindPackageShare("rsagent_ros"), "launch", "agent.launch.py"]),
        launch_arguments={
            "image": LaunchConfiguration("image"),
            "camera_info": LaunchConfiguration("camera_info"),
            "depth": LaunchConfiguration("depth"),
            "image_transport": LaunchConfiguration("image_transport"),
            "depth_transport": LaunchConfiguration("depth_transport"),
            "policy": LaunchConfiguration("policy"),
            "segmenter": LaunchConfiguration("segmenter"),
            "record_dir": LaunchConfiguration("record_dir"),
            "camera_mode": "always",
            "use_sim_time": "true",
        }.items(),
    )
    # Only what the agent takes: results that were recorded would be published beside the new ones.
    player = ExecuteProcess(
        cmd=[
            *("ros2", "bag", "play", LaunchConfiguration("bag"), "--clock", "100"),
            *("--delay", LaunchConfiguration("delay"), "--rate", LaunchConfiguration("rate"), "--topics"),
            LaunchConfiguration("image"),
            [LaunchConfiguration("image"), "/compressed"],
            LaunchConfiguration("camera_info"),
            LaunchConfiguration("depth"),
            [LaunchConfiguration("depth"), "/compressedDepth"],
            LaunchConfiguration("goal"),
            LaunchConfiguration("goal_text"),
            *("--remap", [LaunchConfiguration("goal"), ":=/agent/goal"]),
            [LaunchConfiguration("goal_text"), ":=/agent/goal_text"],
        ],
        output="screen",
    )
    ended = TimerAction(period=LaunchConfiguration("grace"), actions=[Shutdown(reason="the bag has ended")])
    return LaunchDescription(
        [*ARGUMENTS, agent, player, RegisterEventHandler(OnProcessExit(target_action=player, on_exit=[ended]))]
    )
