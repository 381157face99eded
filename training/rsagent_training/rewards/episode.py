"""The reward of one episode."""

from __future__ import annotations

from dataclasses import dataclass

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.data.example import Example
from rsagent_training.rewards import process, quality
from rsagent_training.rewards.config import RewardConfig

OWN_ENDINGS = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS)
"""Outcomes by the policy's own call."""

DEFAULTS = RewardConfig()


@dataclass(frozen=True)
class Reward:
    """Reward of one episode, and its parts.

    Attributes:
        final: Quality of the answer, 0..1.
        process: Earnings of each turn, one number per turn.
        format: 1 where every reply could be used and the policy ended the episode itself, 0..1.
        total: The weighted sum; what is logged.
    """

    final: float
    process: tuple[float, ...]
    format: float
    total: float


def episode_reward(trace: Trace, scene: Example, config: RewardConfig = DEFAULTS) -> Reward:
    """The reward of an episode on a scene; about 1 ms at 640x480.

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
    masks = quality.masks_by_id(trace)
    final, answer = _final(trace, masks, scene, config)
    turns = _process(trace, masks, scene, answer, config)
    shape = _format(trace, config)
    total = config.final_weight * final + config.process_weight * sum(turns) + config.format_weight * shape
    return Reward(final, tuple(turns), shape, total)


def _final(trace: Trace, masks: dict[int, Mask], scene: Example, config: RewardConfig) -> tuple[float, float]:
    """R_final, and the quality of the answer that the gains of the turns add up to.

    They differ where the budget ended the episode (half of the mask's IoU counts as an answer, all of it as progress)
    and where the target is absent (there is no progress to be made).
    """
    match scene.expected, trace.outcome:
        case Outcome.FOUND, Outcome.FOUND:
            overlap = quality.answer_iou(trace, masks, scene)
            return overlap, overlap
        case Outcome.FOUND, Outcome.GAVE_UP:
            overlap = quality.answer_iou(trace, masks, scene)
            return config.gave_up_share * overlap, overlap
        case Outcome.NOT_IN_VIEW, Outcome.NOT_IN_VIEW:
            return 1.0, 0.0
        case Outcome.AMBIGUOUS, Outcome.AMBIGUOUS:
            candidates = [masks[number] for number in trace.candidate_ids if number in masks]
            f1 = quality.candidate_f1(candidates, scene.masks, config.match_iou)
            return f1, f1
        case _:
            return 0.0, 0.0


def _process(trace: Trace, masks: dict[int, Mask], scene: Example, answer: float, config: RewardConfig) -> list[float]:
    best = quality.best_so_far(trace.turns, masks, scene)
    return [
        gain - cost + bonus
        for gain, cost, bonus in zip(
            process.gains(best, answer),
            process.costs(trace, trace.outcome in OWN_ENDINGS, config),
            process.novelties(trace, best, config),
            strict=True,
        )
    ]


def _format(trace: Trace, config: RewardConfig) -> float:
    if trace.outcome not in OWN_ENDINGS:
        return 0.0
    return max(0.0, 1.0 - config.bad_reply_cost * sum(map(is_bad_reply, trace.turns)))


def is_bad_reply(turn: Turn) -> bool:
    """Whether the reply could not be used: no valid call, or one that names a mask that there is not.

    A valid call whose tool had nothing to give is no bad reply.
    """
    return not turn.tool or turn.error_code == "unknown_mask"
