"""Score: the one judgement of an answer. Whatever measures, promotes, filters or rewards reads it and nothing else.

    score(prediction, example).value

A Score holds two things. `iou`, with `intersection` and `union`, is the published protocol on the mask alone: an empty
mask says that there is no target, whatever the outcome is called, so that gIoU, cIoU, N-acc and T-acc are the same for
anyone's masks. `value` is what the answer is worth to a robot: `credit` by this table, less WRONG_CHARGE where charged.

    truth      FOUND            NOT_IN_VIEW  AMBIGUOUS                      GAVE_UP          others
    present    IoU              0, charged   half the candidates' mean IoU  half of the IoU  0
    absent     0, charged       1            0, charged                     0                0
    ambiguous  half of the IoU  0, charged   F1 of the candidates           0                0

FOUND is charged below WRONG_OBJECT_IOU. A question none of whose candidates reaches MATCH_IOU is charged and has no
credit: what misleads is worth less than an honest GAVE_UP, whatever masks either has. Several instances are one target;
where several objects fit the words (ambiguous), each is one, and a mask counts for the nearest. Pixels to ignore are
left out of all masks. A call that failed or was stopped is worth 0 and adds the area of its truth to the unions of
cIoU. docs/evaluation.md has the reasons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.boundary import boundary_f
from rsagent_ros.scoring.matching import MATCH_IOU, f1, matched_ious, pairwise_iou
from rsagent_ros.scoring.prediction import Prediction

UNANSWERED = frozenset({Outcome.FAILED, Outcome.CANCELED, Outcome.PREEMPTED, Outcome.SHUTDOWN})
"""Ends that are no answer."""

WRONG_OBJECT_IOU = 0.1
"""Below this a mask is of another object; above, it is at worst a bad mask of the right one."""

WRONG_CHARGE = 0.2
"""Price of an answer that misleads: it is worth less than none."""


@dataclass(frozen=True)
class Score:
    """One answer held against the truth: everything that is the same in every run of a deterministic policy.

    Attributes:
        index: Its number in the data set, from 0.
        id, category, source, instruction: Of the example.
        expected, outcome: How it should have ended, and how it did.
        error_code, error_msg: Of a failure or of a spent budget.
        masked: The answer has a mask that counts.
        iou: Of the published protocol, 0..1.
        intersection, union: Pixels; the parts of `iou`, for the two sums of cIoU.
        boundary_f: 0..1; None where there is nothing to find.
        confidence: 0..1; None where there is no mask or nobody said.
        first_iou: Of the first mask on the way; None without one, or where there is nothing to find.
        candidates_f1: Of the candidates against all that fit; None unless AMBIGUOUS was expected.
        partial, degraded, turns, tool_calls, bad_replies, prompt_tokens, sampled_tokens: As in Prediction.
        split, self_judged: Of the example.
        credit: The cell of the table, 0..1. NaN in runs of release 0.1.0, which did not store it.
        charged: The answer misleads: a wrong object, a wrong "not in view", or a question about other objects.
        instances_expected: Masks of the truth.
        instances_found: Masks of the answer: instances, or the candidates of a question.
        instances_matched: Pairs of both, one to one, with an IoU of MATCH_IOU or more.
        instances_iou: Sum of the IoU of these pairs, over the larger number of both, 0..1.
        instances_least_iou: Lowest IoU of these pairs; 0 where a mask of either side is in none.
        repaired_replies: As in Prediction.
    """

    index: int
    id: str
    category: str
    source: str
    instruction: str
    expected: Outcome
    outcome: Outcome
    error_code: str
    error_msg: str
    masked: bool
    iou: float
    intersection: int
    union: int
    boundary_f: float | None
    confidence: float | None
    first_iou: float | None
    candidates_f1: float | None
    partial: bool
    degraded: bool
    turns: int
    tool_calls: int
    bad_replies: int
    prompt_tokens: int
    sampled_tokens: int
    split: str = ""
    self_judged: bool = False
    credit: float = math.nan
    charged: bool = False
    instances_expected: int = 0
    instances_found: int = 0
    instances_matched: int = 0
    instances_iou: float = 0.0
    instances_least_iou: float = 0.0
    repaired_replies: int = 0

    @property
    def value(self) -> float:
        """Worth of the answer, -WRONG_CHARGE..1: what promotion, calibration and training go by."""
        return self.credit - WRONG_CHARGE * self.charged

    @property
    def right(self) -> bool:
        """Whether the answer was the right one.

        Present: FOUND with an IoU of MATCH_IOU; absent: NOT_IN_VIEW; ambiguous: AMBIGUOUS with an F1 of MATCH_IOU.
        """
        if self.expected is Outcome.AMBIGUOUS:
            return self.ended_as_expected and (self.candidates_f1 or 0.0) >= MATCH_IOU
        return self.ended_as_expected and (not self.present or self.iou >= MATCH_IOU)

    @property
    def ended_as_expected(self) -> bool:
        """Whether the outcome was the expected one, whatever the masks are."""
        return self.outcome is self.expected

    @property
    def present(self) -> bool:
        """Whether there was something to find."""
        return self.expected is not Outcome.NOT_IN_VIEW

    @property
    def answered(self) -> bool:
        """Whether there was an answer at all, right or wrong."""
        return self.outcome not in UNANSWERED

    @property
    def wrong_object(self) -> bool:
        """Whether another object was given for found, or any where there was nothing to find."""
        return self.outcome is Outcome.FOUND and (not self.present or self.iou < WRONG_OBJECT_IOU)

    @property
    def wrong_absent(self) -> bool:
        """Whether something in view was said not to be."""
        return self.outcome is Outcome.NOT_IN_VIEW and self.present

    @property
    def wrong_question(self) -> bool:
        """Whether a question was asked about other objects alone."""
        return self.outcome is Outcome.AMBIGUOUS and self.charged

    @property
    def unnecessary_clarification(self) -> bool:
        """Whether a question was asked though only one thing could be meant, or none."""
        return self.outcome is Outcome.AMBIGUOUS and self.expected is not Outcome.AMBIGUOUS


def score(answer: Prediction, example: Example, *, index: int = 0) -> Score:
    """Judge an answer.

    Args:
        answer: Anyone's.
        example: What was asked, and what is true.
        index: Number of the example in its data set.

    Raises:
        ValueError: Nobody has said what is true of the example, or a mask of the answer has another size.
    """
    expected = example.expected
    if expected is None:
        raise ValueError(f"example {example.id}: nobody has said what is true of it, so no answer can be judged")
    for mask in (answer.mask, answer.first_mask, *answer.candidates, *answer.instances):
        if mask is not None and mask.shape != example.shape:
            raise ValueError(f"a mask of {mask.shape} for an image of {example.shape} (height, width)")
    answered = answer.outcome not in UNANSWERED
    mask = answer.mask if answered and answer.outcome is not Outcome.NOT_IN_VIEW else None
    if mask is not None and not cut_ignored(mask, example).any():
        mask = None
    intersection, union, target = _overlap(mask, example)
    overlap = intersection / union if union else float(answered)
    first = None
    if target is not None and answer.first_mask is not None:
        shared, covered, _ = _overlap(answer.first_mask, example)
        first = _ratio(shared, covered)
    truths = _counted(example.masks, example)
    candidates = _counted(answer.candidates, example) if answer.outcome is Outcome.AMBIGUOUS else []
    masks = candidates or ([] if mask is None else _counted(answer.instances or (mask,), example))
    pairs = matched_ious(masks, truths)
    most = max(len(masks), len(truths))
    credit, charged = _judge(answer.outcome, expected, overlap, candidates, truths)
    outline = None
    if target is not None:
        outline = boundary_f(mask, target, example.ignore) if mask is not None else 0.0
    return Score(
        index=index,
        id=example.id,
        category=example.category,
        source=example.source,
        instruction=example.instruction,
        expected=expected,
        outcome=answer.outcome,
        error_code=answer.error_code,
        error_msg=answer.error_msg,
        masked=mask is not None,
        iou=overlap,
        intersection=intersection,
        union=union,
        boundary_f=outline,
        confidence=answer.confidence if mask is not None else None,
        first_iou=first,
        candidates_f1=f1(candidates, truths) if expected is Outcome.AMBIGUOUS else None,
        partial=answer.partial,
        degraded=answer.degraded,
        turns=answer.turns,
        tool_calls=answer.tool_calls,
        bad_replies=answer.bad_replies,
        prompt_tokens=answer.prompt_tokens,
        sampled_tokens=answer.sampled_tokens,
        split=example.split,
        self_judged=example.self_judged,
        credit=credit,
        charged=charged,
        instances_expected=len(truths),
        instances_found=len(masks),
        instances_matched=len(pairs),
        instances_iou=sum(pairs) / most if most else 0.0,
        instances_least_iou=min(pairs, default=0.0) if len(pairs) == most else 0.0,
        repaired_replies=answer.repaired_replies,
    )


def _judge(
    outcome: Outcome, expected: Outcome, overlap: float, candidates: Sequence[Mask], truths: Sequence[Mask]
) -> tuple[float, bool]:
    """The cell of the table: credit, and whether the answer is charged."""
    match expected, outcome:
        case Outcome.NOT_IN_VIEW, Outcome.NOT_IN_VIEW:
            return 1.0, False
        case Outcome.FOUND, Outcome.FOUND:
            return overlap, overlap < WRONG_OBJECT_IOU
        case Outcome.FOUND, Outcome.GAVE_UP:
            return overlap / 2, False
        case Outcome.FOUND, Outcome.AMBIGUOUS:
            overlaps = pairwise_iou(candidates, [np.logical_or.reduce(truths)] if truths else [])
            return (float(overlaps.mean()) / 2, False) if (overlaps >= MATCH_IOU).any() else (0.0, True)
        case Outcome.AMBIGUOUS, Outcome.FOUND:
            return overlap / 2, overlap < WRONG_OBJECT_IOU
        case Outcome.AMBIGUOUS, Outcome.AMBIGUOUS:
            matched = f1(candidates, truths)
            return matched, matched == 0
        case _, Outcome.FOUND | Outcome.NOT_IN_VIEW | Outcome.AMBIGUOUS:
            return 0.0, True
    return 0.0, False


def cut_ignored(mask: Mask, example: Example) -> Mask:
    """The (H, W) mask without the pixels that count neither for nor against an answer."""
    return mask if example.ignore is None else mask & ~example.ignore


def _counted(masks: Sequence[Mask], example: Example) -> list[Mask]:
    """The masks without what is ignored, as far as there is more to them."""
    return [kept for mask in masks if (kept := cut_ignored(mask, example)).any()]


def _overlap(mask: Mask | None, example: Example) -> tuple[int, int, Mask | None]:
    """Intersection and union in pixels, and the target they are of; None where there is nothing to find."""
    ours = None if mask is None else cut_ignored(mask, example)
    if not example.masks:
        return 0, 0 if ours is None else int(np.count_nonzero(ours)), None
    # Asked for several instances, all of them are the target; where several objects fit, each is one.
    whole = [np.asarray(np.logical_or.reduce(example.masks))]
    targets = list(example.masks) if example.expected is Outcome.AMBIGUOUS else whole
    measured = []
    for target in targets:
        theirs = cut_ignored(target, example)
        if ours is None:
            measured.append((0, int(np.count_nonzero(theirs)), target))
        else:
            measured.append((int(np.count_nonzero(ours & theirs)), int(np.count_nonzero(ours | theirs)), target))
    # Of equals the larger union: where nothing was hit, no choice of target may flatter cIoU.
    return max(measured, key=lambda one: (_ratio(one[0], one[1]), one[1]))


def _ratio(shared: int, covered: int) -> float:
    return shared / covered if covered else 0.0
