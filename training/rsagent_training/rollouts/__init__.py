"""Episodes for reinforcement learning, by the policy as it is now.

In reading order: `episodes` (what every kind of rollout has), `local` (sampled in this process), `server` (sampled by a
vLLM server that is given the newest adapter).
"""
