"""The rewards in TRL's contract: `reward(completions, **columns) -> list[float]`, pure, a batch in, a list out.

    GRPOConfig(reward_weights=[1.0, 0.5, 0.2])      # R, with the defaults of RewardConfig
    GRPOTrainer(reward_funcs=[final_reward, process_reward, format_reward], ...)

The columns `trace` and `scene` hold, for each completion, the Trace of its episode and the Example it was about. An
episode is read from its record, so the text of the completion is not parsed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_training.rewards.config import RewardConfig
from rsagent_training.rewards.episode import DEFAULTS, Reward, episode_reward

RewardFunction = Callable[..., list[float]]


def reward_functions(config: RewardConfig = DEFAULTS) -> tuple[RewardFunction, RewardFunction, RewardFunction]:
    """R_final, the sum of R_process over the turns, and R_format, unweighted; named as TRL logs them."""
    return (
        _function("final_reward", lambda reward: reward.final, config),
        _function("process_reward", lambda reward: sum(reward.process), config),
        _function("format_reward", lambda reward: reward.format, config),
    )


def _function(name: str, part: Callable[[Reward], float], config: RewardConfig) -> RewardFunction:
    def reward(
        completions: Sequence[Any], *, trace: Sequence[Trace], scene: Sequence[Example], **columns: Any
    ) -> list[float]:
        if not len(completions) == len(trace) == len(scene):
            raise ValueError(
                f"{name}: {len(completions)} completions, {len(trace)} traces and {len(scene)} scenes; "
                "each completion needs one of both"
            )
        return [part(episode_reward(one, about, config)) for one, about in zip(trace, scene, strict=True)]

    reward.__name__ = name
    return reward


final_reward, process_reward, format_reward = reward_functions()
