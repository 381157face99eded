"""`rsagent mcp`: the agent as tools of the Model Context Protocol, for planners that are language models.

Reading order: `source` (what is asked: a robot's node, or a picture file), `picture_source`, `robot_source`, `server`
(the tools), `command`. Needs the extra [mcp]; `robot_source` alone needs ROS, and is imported when it is wanted.
"""
