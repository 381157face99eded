"""`ros2 run rsagent_ros ask "the green ball"`: one goal from a terminal, watched until its answer.

Reading order: `program` (arguments, exit codes, Ctrl-C), `session` (goal, question, tracking), `lines` (what is
printed), `answer_folder` (`--save`).
"""
