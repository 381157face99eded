"""The agent on ROS 2: the only modules that import rclpy or messages.

`agent_node` is the node. A goal's way through it: `goals` (which goal runs), `frames` (its image), `execution` (the
episode, in the thread of `worker`), `outputs` (what is published). `client` is for those who send goals.
"""
