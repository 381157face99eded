"""Figures that a step of reinforcement learning logs about its episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import Score, score
from rsagent_training.rewards import Reward, RewardConfig, under_floor
from rsagent_training.rewards.quality import answer_quality
from rsagent_training.trainer.token_sequence import TokenSequence


def step_notes(
    traces: Sequence[Trace],
    scenes: Sequence[Example],
    rewards: Sequence[Reward],
    sequences: Sequence[TokenSequence],
    samples: int,
    config: RewardConfig,
) -> dict[str, float]:
    """Means over the episodes of a step, by the names of the curve.

    Args:
        traces: One for each episode; groups follow one another.
        scenes: Of each episode.
        rewards: Of each episode.
        sequences: Of each episode.
        samples: Episodes of a group.
        config: Constants of the reward.
    """
    groups = [rewards[begin : begin + samples] for begin in range(0, len(rewards), samples)]
    scores = [score(prediction_of(trace), scene) for trace, scene in zip(traces, scenes, strict=True)]
    notes = {
        "reward": [one.total for one in rewards],
        "reward/final": [one.final for one in rewards],
        "reward/process": [sum(one.process) for one in rewards],
        "reward/format": [one.format for one in rewards],
        "reward/equal_groups": [np.ptp([one.total for one in group]) < 1e-6 for group in groups],
        "reward/groups_under_floor": [under_floor(group, config) for group in groups],
        "episodes/iou": [answer_quality(one) for one in scores],
        "episodes/tokens": [len(sequence) for sequence in sequences],
        "episodes/sampled": [sequence.loss_mask.sum() for sequence in sequences],
    }
    means = {name: float(np.mean(values)) for name, values in notes.items()}
    return means | {f"episodes/{name}": share for name, share in shares_of_endings(scores).items()}


def shares_of_endings(scores: Sequence[Score]) -> dict[str, float]:
    """Shares of the ways in which episodes ended, and their mean number of turns."""
    endings: dict[str, Sequence[float]] = {
        "right": [one.right for one in scores],
        "wrong_found": [one.wrong_object for one in scores],
        "wrong_absent": [one.wrong_absent for one in scores],
        "wrong_question": [one.wrong_question for one in scores],
        "gave_up": [one.outcome is Outcome.GAVE_UP for one in scores],
        "asked": [one.outcome is Outcome.AMBIGUOUS for one in scores],
        "failed": [one.outcome is Outcome.FAILED for one in scores],
        "turns": [one.turns for one in scores],
    }
    return {name: float(np.mean(values)) for name, values in endings.items()}
