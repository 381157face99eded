"""Reward of an episode, and the share of each turn in it. docs/rewards.md has the formulas.

    reward = episode_reward(trace, scene)                   # .final, .process (one per turn), .format, .total
    advantages = credit([reward, ...])                      # of a group of episodes on one scene: one per turn

In reading order: `config` (every constant), `quality` (how good a mask or an answer is), `process` (what each turn
earned), `episode` (all of it), `credit` (advantages).
"""

from rsagent_training.rewards.config import RewardConfig
from rsagent_training.rewards.credit import credit, under_floor
from rsagent_training.rewards.episode import Reward, episode_reward

__all__ = ["Reward", "RewardConfig", "credit", "episode_reward", "under_floor"]
