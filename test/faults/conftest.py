"""The fault matrix needs ROS: without it, test/ros/test_environment.py says why these tests are not there."""

try:
    import rsagent_ros.action  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]
