"""One sample's scores: a Prediction held against an Example. Every sample gets a Row, whatever became of it.

- A failure (FAILED, and what was canceled, pre-empted or shut down) scores 0, also when there was nothing to find, and
  adds the area of its truth to the unions of cIoU.
- An empty answer where there is nothing to find: IoU 1, nothing added to cIoU. A mask there: IoU 0, its area to the
  union.
- GAVE_UP counts its mask; AMBIGUOUS its candidate with the highest confidence, and is scored on its own besides.
- Where several things fit the words (expected AMBIGUOUS), the candidate is held against the one it overlaps most; an
  answer that did not ask scores 0, because a lucky guess is no understanding.
- Pixels to ignore leave intersection and union.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.boundary import boundary_f
from rsagent_ros.scoring.prediction import Prediction

UNANSWERED = frozenset({Outcome.FAILED, Outcome.CANCELED, Outcome.PREEMPTED, Outcome.SHUTDOWN})
"""Ends that are no answer."""

MATCH_IOU = 0.5
"""From this IoU on two masks are of the same thing."""


@dataclass(frozen=True)
class Row:
    """The scores of one sample: everything that is the same in every run of a deterministic policy.

    Attributes:
        index: Its place in the dataset, from 0.
        id, category, source, instruction: Of the sample.
        expected, outcome: What was right, and how it ended.
        error_code, error_msg: Of a failure or of a spent budget.
        masked: The answer has a mask that counts.
        iou: 0..1.
        intersection, union: Pixels; what it adds to the two sums of cIoU.
        boundary_f: 0..1; None where there is nothing to find.
        confidence: 0..1; None where there is no mask or nobody said.
        first_iou: Of the first mask on the way; None without one, or where there is nothing to find.
        candidates_f1: Of the candidates against all that fit; None unless AMBIGUOUS was right.
        partial, degraded, turns, tool_calls, bad_replies, prompt_tokens, sampled_tokens: As in Prediction.
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

    @property
    def present(self) -> bool:
        """Whether there was something to find."""
        return self.expected is not Outcome.NOT_IN_VIEW

    @property
    def answered(self) -> bool:
        """Whether there was an answer at all, right or wrong."""
        return self.outcome not in UNANSWERED


def score(index: int, truth: Example, answer: Prediction, instruction: str = "") -> Row:
    """Hold an answer against the truth.

    Raises:
        ValueError: A mask of the answer has another size than the image.
    """
    for mask in (answer.mask, answer.first_mask, *answer.candidates):
        if mask is not None and mask.shape != truth.shape:
            raise ValueError(f"a mask of {mask.shape} for an image of {truth.shape} (height, width)")
    mask = None if answer.outcome in UNANSWERED or answer.outcome is Outcome.NOT_IN_VIEW else answer.mask
    if mask is not None and not _cut(mask, truth).any():
        mask = None
    intersection, union, target = _overlap(mask, truth)
    guessed = truth.expected is Outcome.AMBIGUOUS and answer.outcome is not Outcome.AMBIGUOUS
    if guessed:
        intersection = 0
    overlap = intersection / union if union else float(answer.outcome not in UNANSWERED)
    outline = None
    if target is not None:
        outline = boundary_f(mask, target, truth.ignore) if mask is not None and not guessed else 0.0
    first = None
    if truth.present and answer.first_mask is not None:
        shared, covered, _ = _overlap(answer.first_mask, truth)
        first = shared / covered if covered else 0.0
    return Row(
        index=index,
        id=truth.id,
        category=truth.category,
        source=truth.source,
        instruction=instruction,
        expected=truth.require_expected(),
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
        candidates_f1=candidates_f1(answer.candidates, truth.masks) if truth.expected is Outcome.AMBIGUOUS else None,
        partial=answer.partial,
        degraded=answer.degraded,
        turns=answer.turns,
        tool_calls=answer.tool_calls,
        bad_replies=answer.bad_replies,
        prompt_tokens=answer.prompt_tokens,
        sampled_tokens=answer.sampled_tokens,
    )


def candidates_f1(candidates: Sequence[Mask], things: Sequence[Mask]) -> float:
    """F1 of candidates matched to the things that fit: one to one, the closest pairs first, from an IoU of 0.5 on."""
    pairs = [(iou(mask, thing), i, j) for i, mask in enumerate(candidates) for j, thing in enumerate(things)]
    free_candidates, free_things = set(range(len(candidates))), set(range(len(things)))
    for overlap, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        if overlap >= MATCH_IOU and i in free_candidates and j in free_things:
            free_candidates.remove(i)
            free_things.remove(j)
    matched = len(candidates) - len(free_candidates)
    return 2 * matched / (len(candidates) + len(things)) if candidates or things else 1.0


def _cut(mask: Mask, truth: Example) -> Mask:
    return mask if truth.ignore is None else mask & ~truth.ignore


def _overlap(mask: Mask | None, truth: Example) -> tuple[int, int, Mask | None]:
    """Intersection and union in pixels, and the target they are of; None where there is nothing to find."""
    if not truth.present:
        return 0, 0 if mask is None else int(np.count_nonzero(_cut(mask, truth))), None
    # Asked for several instances, all of them are the target; where several things fit, each is one.
    targets = list(truth.masks) if truth.expected is Outcome.AMBIGUOUS else [np.logical_or.reduce(truth.masks)]
    best: tuple[int, int, Mask] | None = None
    for target in targets:
        kept = _cut(target, truth)
        if mask is None:
            shared, covered = 0, int(np.count_nonzero(kept))
        else:
            ours = _cut(mask, truth)
            shared, covered = int(np.count_nonzero(ours & kept)), int(np.count_nonzero(ours | kept))
        # Of equals the larger union: where nothing was hit, no choice of target may flatter cIoU.
        if best is None or (_ratio(shared, covered), covered) > (_ratio(best[0], best[1]), best[1]):
            best = shared, covered, target
    if best is None:
        raise ValueError(f"example {truth.id} has no mask")  # Example does not allow it
    return best


def _ratio(shared: int, covered: int) -> float:
    return shared / covered if covered else 0.0
