"""A person's judgement about a record, as the verdict that is stored and read as truth."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from rsagent_ros.agent.errors import plain
from rsagent_ros.agent.mask import Mask, decode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.records.record import Record, Verdict, answer_mask, answer_masks, newest

Judgement: TypeAlias = Literal["accept", "reject", "absent", "correct", "note"]
"""It is right; it is wrong; nothing like that is in view; another mask is right; as before, but with this note."""

State: TypeAlias = Literal["", "accepted", "rejected", "corrected", "absent"]

MAX_NOTE = 2_000
"""Characters of a note."""


def verdict_for(record: Record, judgement: Judgement, note: str = "", mask: object = None) -> Verdict:
    """The verdict of a judgement about a record, not stamped yet.

    Args:
        record: What was judged.
        judgement: About the answer.
        note: What was meant.
        mask: COCO run lengths from anywhere, of the size of the image; with a correction and with nothing else.

    Raises:
        ValueError: It does not fit this record; the message says why.
    """
    if (mask is not None) != (judgement == "correct"):
        raise ValueError("a mask belongs to a correction, and a correction has a mask")
    verdict = Verdict(record.goal_id, "operator", accepted=False, note=tidy(note))
    said_absent = record.trace.outcome is Outcome.NOT_IN_VIEW
    match judgement:
        case "correct":
            return replace(verdict, mask=_drawn(mask, record))
        case "absent":
            return replace(verdict, accepted=said_absent, absent=True)
        case "reject":
            return verdict
        case "accept":
            if why := not_acceptable(record):
                raise ValueError(why)
            return replace(verdict, accepted=True, absent=said_absent)
        case "note":
            before = newest(given for given in record.verdicts if given.source == "operator")
            if before is None:
                raise ValueError("nobody has judged this goal yet: there is no verdict that the note could belong to")
            return replace(before, note=verdict.note)


def not_acceptable(record: Record) -> str:
    """Why an answer can't be accepted: there is none. Empty if it can."""
    if record.trace.outcome is Outcome.NOT_IN_VIEW or answer_masks(record.trace):
        return ""
    return "This goal ended without an answer, so there is nothing to accept: draw what was meant, or say it is absent."


def mask_at_hand(record: Record) -> Mask | None:
    """Start of a correction, (H, W): the last correction, else all of the answer; None for nothing."""
    last = newest(record.verdicts)
    return answer_mask(record.trace) if last is None or last.mask is None else last.mask


def says_the_same(one: Verdict, other: Verdict) -> bool:
    """Whether two verdicts differ in nothing but their stamps."""
    if (one.mask is None) != (other.mask is None):
        return False
    if one.mask is not None and other.mask is not None and not np.array_equal(one.mask, other.mask):
        return False
    return (one.goal_id, one.source, one.accepted, one.absent, one.note) == (
        other.goal_id,
        other.source,
        other.accepted,
        other.absent,
        other.note,
    )


def state_of(verdict: Verdict) -> State:
    """A verdict in a word. The order is that in which the records are read as a dataset."""
    if verdict.absent:
        return "accepted" if verdict.accepted else "absent"
    if verdict.mask is not None:
        return "corrected"
    return "accepted" if verdict.accepted else "rejected"


def tidy(note: str) -> str:
    """A note as messages can hold it: no control characters but line ends and tabs, nothing around it.

    Raises:
        ValueError: It is too long.
    """
    if len(note) > MAX_NOTE:
        raise ValueError(f"the note has {len(note)} characters; at most {MAX_NOTE} are kept")
    return plain("".join(c for c in note if c in "\n\t" or unicodedata.category(c) != "Cc")).strip()


def _drawn(mask: object, record: Record) -> Mask:
    drawn, size = decode_rle(mask), record.image.shape[:2]
    if drawn.shape != size:
        raise ValueError(f"the mask is {drawn.shape} (height, width), the image {size}")
    if not drawn.any():
        raise ValueError("the mask is empty; say absent where nothing is there")
    return drawn
