"""Credit: the advantages of a group of episodes on one scene.

    advantage = (R - mean of the group) / max(standard deviation of the group, deviation_floor)

is one number for all tokens of an episode. With `credit: turn` the process reward is each turn's own instead:

    A(turn k) = the same of (final_weight * R_final + format_weight * R_format)
              + process_weight * (sum of R_process over the turns from k on - mean of that sum in the group)

Turn k is compared there with turn k of the others, which may have been in another state: hence it is an option only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsagent_training.rewards.config import RewardConfig
from rsagent_training.rewards.episode import DEFAULTS, Reward


def credit(group: Sequence[Reward], config: RewardConfig = DEFAULTS) -> list[tuple[float, ...]]:
    """Advantages of every turn of a group of episodes on the same scene, one tuple per episode.

    Raises:
        ValueError: Fewer than two episodes: there is nothing to compare with.
    """
    if len(group) < 2:
        raise ValueError(f"a group of {len(group)} episodes has nothing to compare with; sample 2 or more")
    whole = np.array([_shared(one, config) for one in group])
    advantages = (whole - whole.mean()) / _divisor(whole, config)
    if config.credit == "episode":
        pairs = zip(advantages, group, strict=True)
        return [(float(advantage),) * len(one.process) for advantage, one in pairs]
    own = config.process_weight * _own(group)
    return [
        tuple(float(advantage + part) for part in parts[: len(one.process)])
        for advantage, parts, one in zip(advantages, own, group, strict=True)
    ]


def under_floor(group: Sequence[Reward], config: RewardConfig = DEFAULTS) -> bool:
    """Whether the rewards of a group are so alike that the floor stands in for their deviation."""
    deviation = np.std([_shared(one, config) for one in group], ddof=1)
    return config.deviation_floor is not None and bool(deviation < config.deviation_floor)


def _shared(reward: Reward, config: RewardConfig) -> float:
    """The part of a reward that all turns of its episode share."""
    if config.credit == "episode":
        return reward.total
    return config.final_weight * reward.final + config.format_weight * reward.format


def _divisor(values: NDArray[np.float64], config: RewardConfig) -> float:
    return 1.0 if config.deviation_floor is None else max(float(values.std(ddof=1)), config.deviation_floor)


def _own(group: Sequence[Reward]) -> NDArray[np.float64]:
    """(episodes, turns): what each turn and those after it earned, less the group's mean for turns of that number.

    An episode that has ended by then counts with what it went on to earn: nothing.
    """
    earned = np.zeros((len(group), max(len(one.process) for one in group)))
    for row, one in zip(earned, group, strict=True):
        row[: len(one.process)] = one.process
    to_go = np.cumsum(earned[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(to_go - to_go.mean(axis=0))
