"""The reward of one episode."""

from __future__ import annotations

from dataclasses import dataclass

from rsagent_ros.agent.actions import CALL_OPEN
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import Score, score
from rsagent_training.rewards import process, quality
from rsagent_training.rewards.config import RewardConfig

OWN_ENDINGS = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS)
"""Outcomes that only the policy's own call brings about; GAVE_UP is one where its error code says so."""

DEFAULTS = RewardConfig()


@dataclass(frozen=True)
class Reward:
    """Reward of one episode, and its parts.

    Attributes:
        final: Credit of the answer, less the charge where it misleads; -wrong_charge..1.
        process: Earnings of each turn, one number per turn.
        format: 1 where every reply had its thought and was used as it was, and the episode ended cleanly; 0..1.
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
    shape = _format(trace, made, config)
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
            process.costs(trace, _ended_itself(trace), config),
            process.novelties(trace, best, config),
            strict=True,
        )
    ]


def _ended_itself(trace: Trace) -> bool:
    """Whether the policy ended the episode by its own call."""
    return trace.outcome in OWN_ENDINGS or trace.error_code in (ErrorCode.NOT_UNDERSTOOD, ErrorCode.UNSURE)


def _format(trace: Trace, made: Score, config: RewardConfig) -> float:
    """Quality of the replies. It is not paid for an answer: saying anything would be a way to earn it."""
    clean = _ended_itself(trace) or trace.error_code is ErrorCode.TURNS_SPENT
    if not clean:
        return 0.0
    unthought = sum(not _thought(turn) for turn in trace.turns)
    # A reply that was read in spite of a slip cost no turn; its format is none of ours all the same.
    bad = made.bad_replies + made.repaired_replies
    return max(0.0, 1.0 - config.bad_reply_cost * bad - config.no_thought_cost * unthought)


def _thought(turn: Turn) -> bool:
    """Whether a reply begins with the thought in its tags that the prompt asks for; an empty one is none."""
    opening, closing, _ = turn.reply.partition(CALL_OPEN)[0].partition("</think>")
    return opening.lstrip().startswith("<think>") and bool(closing) and bool(turn.thought)
