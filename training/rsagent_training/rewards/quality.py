"""Quality of a mask or an answer, 0..1, by the truth of its scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rsagent_ros.agent.mask import Mask, decode_rle, iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.data.example import Example


def masks_by_id(trace: Trace) -> dict[int, Mask]:
    """The (H, W) masks of a trace."""
    return {turn.mask_id: decode_rle(turn.mask) for turn in trace.turns if turn.mask_id and turn.mask is not None}


def joined(masks: Sequence[Mask]) -> Mask:
    """All of them together, one or more."""
    return np.asarray(np.logical_or.reduce(masks), dtype=np.bool_)


def best_so_far(turns: Sequence[Turn], masks: dict[int, Mask], scene: Example) -> list[float]:
    """For each turn, how much of what is wanted has been marked by then: it never falls.

    One thing: the best IoU of a mask so far. Several things, one mask each: the mean over the things of the best IoU
    of a mask so far, or the IoU of one mask with all of them where that is more. 0 where nothing is wanted.
    """
    if not scene.masks:
        return [0.0] * len(turns)
    whole = joined(scene.masks)
    marked = [0.0] * len(scene.masks)
    best = 0.0
    reached = []
    for turn in turns:
        mask = masks.get(turn.mask_id)
        if mask is not None:
            marked = [max(before, iou(mask, truth)) for before, truth in zip(marked, scene.masks, strict=True)]
            at_once = 0.0 if scene.expected is Outcome.AMBIGUOUS else iou(mask, whole)
            best = max(best, at_once, sum(marked) / len(marked))
        reached.append(best)
    return reached


def answer_iou(trace: Trace, masks: dict[int, Mask], scene: Example) -> float:
    """IoU of the mask that the episode ended with, all instances together; 0 without one, or where nothing is wanted.

    The best mask so far of an episode that was ended by its budget counts in full.
    """
    answer = [masks[number] for number in trace.instance_ids if number in masks]
    if not answer or not scene.masks:
        return 0.0
    return iou(joined(answer), joined(scene.masks))


def matched(candidates: Sequence[Mask], truths: Sequence[Mask]) -> list[float]:
    """IoU of each pair of a candidate and the thing it stands for, best pairs first, each used once."""
    pairs = sorted(
        ((iou(candidate, truth), i, j) for i, candidate in enumerate(candidates) for j, truth in enumerate(truths)),
        reverse=True,
    )
    used: set[int] = set()
    met: set[int] = set()
    found = []
    for overlap, i, j in pairs:
        if overlap > 0 and i not in used and j not in met:
            used.add(i)
            met.add(j)
            found.append(overlap)
    return found


def candidate_f1(candidates: Sequence[Mask], truths: Sequence[Mask], match_iou: float) -> float:
    """F1 of candidates against things: a candidate counts that stands for a thing with at least this IoU."""
    right = sum(overlap >= match_iou for overlap in matched(candidates, truths))
    return 2 * right / (len(candidates) + len(truths))


def trajectory_iou(trace: Trace, scene: Example) -> float:
    """Quality of the answer, 0..1, as `Trajectory.iou` has it: 0 for a wrong outcome.

    FOUND: IoU of all instances together. NOT_IN_VIEW: 1. AMBIGUOUS: sum of the IoU of each candidate with the thing it
    stands for, over the number of candidates or of things, whichever is more.
    """
    if trace.outcome is not scene.expected:
        return 0.0
    if scene.expected is Outcome.NOT_IN_VIEW:
        return 1.0
    masks = masks_by_id(trace)
    if scene.expected is Outcome.FOUND:
        return answer_iou(trace, masks, scene)
    candidates = [masks[number] for number in trace.candidate_ids if number in masks]
    return sum(matched(candidates, scene.masks)) / max(len(candidates), len(scene.masks))
