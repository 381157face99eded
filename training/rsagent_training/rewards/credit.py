"""Credit by turn: the advantage of each turn of a group of episodes on one scene.

    A(turn k) = groupnorm(final_weight * R_final + format_weight * R_format)
              + process_weight * groupnorm(sum of R_process over the turns from k on)

The first part is one number for the whole episode, as in GRPO. The second is the turn's own: what it led to, and
nothing that was earned before it. R_process is never in the first part too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsagent_training.rewards.config import RewardConfig
from rsagent_training.rewards.episode import DEFAULTS, Reward


def credit(group: Sequence[Reward], config: RewardConfig = DEFAULTS) -> list[tuple[float, ...]]:
    """Advantages of every turn of a group of episodes on the same scene, one tuple per episode.

    Turn k is compared with turn k of the others; an episode that has ended by then counts there with what it went on
    to earn: nothing. Comparing turns of one number keeps the advantage of equal episodes at 0, which one mean over
    all turns does not: late turns have little left to earn and would all come out as bad.

    Raises:
        ValueError: Fewer than two episodes: there is nothing to compare with.
    """
    if len(group) < 2:
        raise ValueError(f"a group of {len(group)} episodes has nothing to compare with; sample 2 or more")
    scalar = np.array([config.final_weight * one.final + config.format_weight * one.format for one in group])
    whole = _groupnorm(scalar, config.epsilon)
    longest = max(len(one.process) for one in group)
    earned = np.zeros((len(group), longest))
    for row, one in zip(earned, group, strict=True):
        row[: len(one.process)] = one.process
    to_go = np.cumsum(earned[:, ::-1], axis=1)[:, ::-1]
    own = np.stack([_groupnorm(column, config.epsilon) for column in to_go.T], axis=1) if longest else earned
    advantages = whole[:, None] + config.process_weight * own
    return [tuple(map(float, row[: len(one.process)])) for row, one in zip(advantages, group, strict=True)]


def _groupnorm(values: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Less the mean, over the standard deviation with Bessel's correction, as TRL normalises rewards."""
    return np.asarray((values - values.mean()) / (values.std(ddof=1) + epsilon))
