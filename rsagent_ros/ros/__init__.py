"""The agent on ROS 2: the only modules that import rclpy or messages.

`agent_node` is the node, `program` runs it. A goal's way through it: `goals` and `desk` (which goal runs), `frames`
(its image), `execution` (the episode, in the thread of `worker`), `outputs` (what is published; `places` adds where
things are). What it found is followed by `tracking`, one goal's things in a `pursuit`. `client` is for those who send
goals.
"""
