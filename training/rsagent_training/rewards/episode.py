"""The reward of one episode."""

from __future__ import annotations

from dataclasses import dataclass

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import Score, score
from rsagent_training.rewards import process, quality
from rsagent_training.rewards.config import RewardConfig

OWN_ENDINGS = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS)
"""Outcomes by the policy's own call."""

DEFAULTS = RewardConfig()


@dataclass(frozen=True)
class Reward:
    """Reward of one episode, and its parts.

    Attributes:
        final: Credit of the answer, less the charge where it misleads; -wrong_charge..1.
        process: Earnings of each turn, one number per turn.
        format: 1 where every reply was used as it was and the policy ended the episode itself, 0..1.
        total: The weighted sum; what is logged.
    """

    final: float
    process: tuple[float, ...]
    format: float
    total: float


def episode_reward(trace: Trace, scene: Example, config: RewardConfig = DEFAULTS) -> Reward:
    """The reward of an episode on a scene; about 3 ms at 640x480.

    Raises:
        ValueError: The trace is of a frame of another size, or its episode has not ended.
    """
    if (trace.height, trace.width) != scene.image.shape[:2]:
        raise ValueError(
            f"the trace is of a frame of {(trace.height, trace.width)}, scene {scene.id} of "
            f"{scene.image.shape[:2]} (height, width)"
        )
    if trace.outcome is None:
        raise ValueError(f"the episode on scene {scene.id} has not ended; run it to its end first")
    made = score(prediction_of(trace), scene)
    final = made.credit - config.wrong_charge * made.charged
    turns = _process(trace, scene, _progress(made), config)
    shape = _format(made, config)
    total = config.final_weight * final + config.process_weight * sum(turns) + config.format_weight * shape
    return Reward(final, tuple(turns), shape, total)


def _progress(made: Score) -> float:
    """Quality of the answer that the gains of the turns add up to.

    It is the credit, except where the budget ended the episode (its mask counts by half as an answer, and in full as
    progress) and where the target is absent (there is no progress to be made).
    """
    if not made.present:
        return 0.0
    gave_up = made.outcome is Outcome.GAVE_UP and made.expected is Outcome.FOUND
    return made.iou if gave_up else made.credit


def _process(trace: Trace, scene: Example, answer: float, config: RewardConfig) -> list[float]:
    best = quality.best_so_far(trace.turns, quality.masks_by_id(trace), scene)
    return [
        gain - cost + bonus
        for gain, cost, bonus in zip(
            process.gains(best, answer),
            process.costs(trace, trace.outcome in OWN_ENDINGS, config),
            process.novelties(trace, best, config),
            strict=True,
        )
    ]


def _format(made: Score, config: RewardConfig) -> float:
    if made.outcome not in OWN_ENDINGS:
        return 0.0
    # A reply that was read in spite of a slip cost no turn; its format is none of ours all the same.
    return max(0.0, 1.0 - config.bad_reply_cost * (made.bad_replies + made.repaired_replies))
