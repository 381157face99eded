"""Quality of masks and answers, 0..1, by the truth of their scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsagent_ros.agent.mask import Mask, decode_rle, iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import Score, cut_ignored, score


def masks_by_id(trace: Trace) -> dict[int, Mask]:
    """The (H, W) masks of a trace."""
    return {mask_id: decode_rle(made.mask) for mask_id, made in trace.masks.items()}


def best_so_far(turns: Sequence[Turn], masks: dict[int, Mask], scene: Example) -> list[float]:
    """For each turn, how much of what is wanted has been marked by then: it never falls.

    One thing: the best IoU of a mask so far. Several things, one mask each: the mean over the things of the best IoU
    of a mask so far, or the IoU of one mask with all of them where that is more. 0 where nothing is wanted. Pixels to
    ignore are left out, as in a Score.
    """
    if not scene.masks:
        return [0.0] * len(turns)
    truths = [cut_ignored(truth, scene) for truth in scene.masks]
    whole = np.asarray(np.logical_or.reduce(truths))
    marked = [0.0] * len(truths)
    best = 0.0
    reached = []
    for turn in turns:
        for mask in (cut_ignored(masks[made.mask_id], scene) for made in turn.masks):
            marked = [max(before, iou(mask, truth)) for before, truth in zip(marked, truths, strict=True)]
            at_once = 0.0 if scene.expected is Outcome.AMBIGUOUS else iou(mask, whole)
            best = max(best, at_once, sum(marked) / len(marked))
        reached.append(best)
    return reached


def trajectory_iou(trace: Trace, scene: Example) -> float:
    """Quality of a finished episode's answer, as `Trajectory.iou` has it."""
    return answer_quality(score(prediction_of(trace), scene))


def answer_quality(made: Score) -> float:
    """Quality of an answer as an example to learn from, 0..1: 0 where it did not end as expected.

    FOUND: IoU of all instances together. NOT_IN_VIEW: 1. AMBIGUOUS: sum of the IoU of the candidates with what they
    stand for, over the number of candidates or of things, whichever is more.
    """
    if not made.ended_as_expected:
        return 0.0
    return made.instances_iou if made.expected is Outcome.AMBIGUOUS else made.credit
