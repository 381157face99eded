"""A robot's goals on disk (MCAP), reading bags, and replay. Needs no ROS."""
