"""Training off the robot: scenes, trajectories, and policies that learn from them. Each stage is a file, in this order.

simulate.py      scenes of a simulated table top        simulation/   the world, its camera, its questions
collect.py       scenes of records and data sets        scene_index.py
questions.py     implicit questions about scenes        asking/       writer, solver, wording
synthesize.py    trajectories by a teacher              expert/, synthesis/, trajectories.py
sft.py           supervised training                    trainer/      what both trainers share
grpo.py          reinforcement learning                 rollouts/, rewards/
merge.py         adapter + checkpoint = checkpoint

recipes.py       settings of sft and grpo               jobs/         work on many scenes: workers, log, counts
commands.py, data_commands.py, command_line.py          flags and exit codes of `rsagent sft`, `rsagent collect`, ...
miniature/       all stages on a tiny policy, from random weights, on the CPU
"""
