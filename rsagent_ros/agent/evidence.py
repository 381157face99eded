"""The masks of one episode and the evidence for each: the segmenter's score, and how firm its edge is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Cause, Ending, Finish, GiveUp, ReportAbsent, ReportAmbiguous
from rsagent_ros.agent.errors import ReplyError
from rsagent_ros.agent.geometry import Box, View
from rsagent_ros.agent.mask import Mask, Rle, bounding_box, encode_part, encode_rle, whole
from rsagent_ros.agent.outcome import ErrorCode, Instance, Outcome, Result
from rsagent_ros.agent.verification import REJECTED_FACTOR, Verification

LARGE_PART = 16
"""Run lengths of a part with more than 1 in so many of the frame's pixels are faster made of the whole mask."""


@dataclass(frozen=True, eq=False)
class MaskEntry:
    """One mask that a tool made.

    Attributes:
        mask_id: 1 for the first.
        part: (h, w) bool, the mask inside its box, never empty.
        box: Its bounding box, full-frame pixels.
        shape: (H, W) of the frame.
        score: The segmenter's estimate of its IoU, 0..1; the lowest of its parts for a combined mask.
        stability: IoU of the logits cut at -1 and at +1, 0..1: low where a small change of level moves the edge.
        view_key: The crop it was drawn in.
        logits: (h, w) float32 of that crop; None for a combined mask.
        parents: Ids of the masks it was refined or combined from.
        verification: The opinion of a fresh conversation about it, once it was part of an answer.
        phrase: The words that found it; empty where none did.
    """

    mask_id: int
    part: Mask
    box: Box
    shape: tuple[int, int]
    score: float
    stability: float
    view_key: tuple[int, int, int, int]
    logits: NDArray[np.float32] | None
    parents: tuple[int, ...]
    verification: Verification | None = None
    phrase: str = ""

    @cached_property
    def mask(self) -> Mask:
        """(H, W) bool, full frame."""
        return whole(self.part, self.box, self.shape)

    @property
    def rle(self) -> Rle:
        """COCO run lengths, full frame."""
        if self.part.size * LARGE_PART > self.shape[0] * self.shape[1]:
            return encode_rle(self.mask)
        return encode_part(self.part, self.box, self.shape)

    @property
    def rejected(self) -> bool:
        """Whether its verification doubts it."""
        return self.verification is not None and self.verification.doubts

    @property
    def confidence(self) -> float:
        """Evidence in one number, 0..1. Not calibrated."""
        confidence = min(1.0, max(0.0, self.score * self.stability))
        return confidence * REJECTED_FACTOR if self.rejected else confidence

    def instance(self) -> Instance:
        """This mask as an instance of a Result."""
        return Instance(self.mask, self.box, self.confidence, self.mask_id)


def stability(logits: NDArray[np.float32]) -> float:
    """Stability of a mask when its level moves: area above +1 over area above -1 (Segment Anything, sec. 5)."""
    loose = int(np.count_nonzero(logits > -1.0))
    return int(np.count_nonzero(logits > 1.0)) / loose if loose else 0.0


def pick(entries: Sequence[MaskEntry], mask_id: int) -> MaskEntry:
    """The mask of that id; mask n is `entries[n - 1]`.

    Raises:
        ReplyError: There is none.
    """
    if not 1 <= mask_id <= len(entries):
        known = f"Masks so far: 1 to {len(entries)}." if entries else "There is no mask yet: call segment first."
        raise ReplyError("unknown_mask", f"There is no mask {mask_id}. {known}")
    return entries[mask_id - 1]


GAVE_UP: dict[Cause, tuple[ErrorCode, str]] = {
    "not_understood": (ErrorCode.NOT_UNDERSTOOD, "the policy does not know what is meant; ask a person"),
    "unsure": (ErrorCode.UNSURE, "the policy can't tell which it is, or whether it is there; ask a person"),
}
"""Code and sentence of `give_up`."""


def answer_of(action: Ending, entries: Sequence[MaskEntry]) -> Result:
    """The result of the policy's own last call.

    Raises:
        ReplyError: It names a mask that does not exist.
    """
    match action:
        case Finish(masks):
            return Result(Outcome.FOUND, instances=tuple(pick(entries, number).instance() for number in masks))
        case ReportAbsent(reason):
            return Result(Outcome.NOT_IN_VIEW, reason=reason)
        case ReportAmbiguous(masks, question):
            candidates = tuple(pick(entries, number).instance() for number in masks)
            return Result(Outcome.AMBIGUOUS, candidates=candidates, question=question)
        case GiveUp(reason, cause, masks):
            code, sentence = GAVE_UP[cause]
            candidates = tuple(pick(entries, number).instance() for number in masks)
            # The surest is the best so far; that others could be meant as well is told beside it.
            best = sorted(candidates, key=lambda one: -one.confidence)[:1]
            return Result(
                Outcome.GAVE_UP, code, sentence, tuple(best), candidates, reason=reason, partial=bool(candidates)
            )


def best_so_far(entries: Sequence[MaskEntry]) -> MaskEntry | None:
    """The mask to hand over when the budget ends, chosen without the truth.

    A mask that the policy went on to refine or combine was not good enough for it; among the others the best evidence
    counts, and of equals the newest.
    """
    replaced = {parent for entry in entries for parent in entry.parents}
    kept = [entry for entry in entries if entry.mask_id not in replaced]
    return max(kept, key=lambda entry: (entry.confidence, entry.mask_id), default=None)


def entry_of(
    mask_id: int,
    mask: Mask,
    view: View,
    *,
    score: float,
    stability: float,
    logits: NDArray[np.float32] | None = None,
    parents: tuple[int, ...] = (),
) -> MaskEntry | None:
    """A new entry for a mask of a view's pixels; None for an empty one."""
    box = bounding_box(mask)
    if box is None:
        return None
    part = mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    box = Box(box.x0 + view.x0, box.y0 + view.y0, box.x1 + view.x0, box.y1 + view.y0)
    shape = view.frame_height, view.frame_width
    return MaskEntry(mask_id, part, box, shape, score, stability, view.key, logits, parents)
