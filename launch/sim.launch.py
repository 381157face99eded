"""Starts the agent with a simulated camera: `ros2 launch rsagent_ros sim.launch.py`.

The simulator needs MuJoCo: `pip install -r environment/sim.txt` in the virtual environment of the workspace.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("rsagent_ros")
LARGE_IMAGES = PathJoinSubstitution([SHARE, "config", "fastdds.xml"])


def generate_launch_description() -> LaunchDescription:
    """Description that `ros2 launch` runs."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of camera and agent."),
            DeclareLaunchArgument(
                "preset",
                default_value="demo",
                choices=["demo", "seed"],
                description="The table of the demo, or one drawn from `seed`.",
            ),
            DeclareLaunchArgument("seed", default_value="0", description="Table to draw, when preset is seed."),
            DeclareLaunchArgument("fps", default_value="10.0", description="Images per second."),
            DeclareLaunchArgument(
                "moving", default_value="false", choices=["true", "false"], description="Move the camera slowly."
            ),
            *(
                SetEnvironmentVariable(name, EnvironmentVariable(name, default_value=LARGE_IMAGES))
                for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")  # Jazzy's, Kilted's
            ),
            Node(
                package="rsagent_ros",
                executable="sim_camera.py",
                namespace=LaunchConfiguration("namespace"),
                parameters=[
                    {
                        "preset": LaunchConfiguration("preset"),
                        "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
                        "fps": ParameterValue(LaunchConfiguration("fps"), value_type=float),
                        "moving": ParameterValue(LaunchConfiguration("moving"), value_type=bool),
                    }
                ],
                output="screen",
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution([SHARE, "launch", "agent.launch.py"]),
                launch_arguments={
                    "namespace": LaunchConfiguration("namespace"),
                    "image": "camera/image",
                    "camera_info": "camera/camera_info",
                    "depth": "camera/depth",
                }.items(),
            ),
        ]
    )
