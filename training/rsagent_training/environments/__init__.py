"""Our episode in the hands of other engines of reinforcement learning, which own the loop.

In reading order: `episode_environment` (reset and step), `trl_adapter` (TRL's `environment_factory`).
"""
