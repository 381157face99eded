"""A person's judgement about a record, as the verdict that is stored and read as truth."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
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

MAX_NAME = 100
"""Characters of an annotator's name."""

MAX_MASKS = 64
"""Masks of one correction."""


def verdict_for(
    record: Record, judgement: Judgement, note: str = "", masks: Sequence[object] = (), annotator: str = ""
) -> Verdict:
    """The verdict of a judgement about a record, not stamped yet.

    Args:
        record: What was judged.
        judgement: About the answer.
        note: What was meant.
        masks: COCO run lengths from anywhere, of the size of the image, one for each thing that was meant; with a
            correction and with nothing else.
        annotator: Name of the person; empty for nobody's.

    Raises:
        ValueError: It does not fit this record; the message says why.
    """
    if bool(masks) != (judgement == "correct"):
        raise ValueError("a mask belongs to a correction, and a correction has a mask")
    name = tidy(annotator, MAX_NAME, "name")
    verdict = Verdict(record.goal_id, "operator", accepted=False, note=tidy(note), annotator=name)
    said_absent = record.trace.outcome is Outcome.NOT_IN_VIEW
    match judgement:
        case "correct":
            drawn = _drawn(masks, record)
            together = np.asarray(np.logical_or.reduce(drawn), dtype=np.bool_)
            return replace(verdict, mask=together, instances=drawn if len(drawn) > 1 else ())
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
            return replace(before, note=verdict.note, annotator=verdict.annotator or before.annotator)


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
    masks = [[mask for mask in (verdict.mask, *verdict.instances) if mask is not None] for verdict in (one, other)]
    if len(masks[0]) != len(masks[1]) or not all(map(np.array_equal, *masks)):
        return False
    return _statement(one) == _statement(other)


def _statement(verdict: Verdict) -> tuple[object, ...]:
    """All of a verdict but its masks and its stamp."""
    return (
        verdict.goal_id,
        verdict.source,
        verdict.accepted,
        verdict.absent,
        verdict.note,
        verdict.annotator,
        verdict.mask is None,
    )


def state_of(verdict: Verdict) -> State:
    """A verdict in a word. The order is that in which the records are read as a dataset."""
    if verdict.absent:
        return "accepted" if verdict.accepted else "absent"
    if verdict.mask is not None:
        return "corrected"
    return "accepted" if verdict.accepted else "rejected"


def tidy(note: str, most: int = MAX_NOTE, name: str = "note") -> str:
    """A text as messages can hold it: no control characters but line ends and tabs, nothing around it.

    Raises:
        ValueError: It is too long.
    """
    if len(note) > most:
        raise ValueError(f"the {name} has {len(note)} characters; at most {most} are kept")
    return plain("".join(c for c in note if c in "\n\t" or unicodedata.category(c) != "Cc")).strip()


def _drawn(masks: Sequence[object], record: Record) -> tuple[Mask, ...]:
    if len(masks) > MAX_MASKS:
        raise ValueError(f"the correction has {len(masks)} masks; at most {MAX_MASKS} are kept")
    drawn, size = tuple(map(decode_rle, masks)), record.image.shape[:2]
    for mask in drawn:
        if mask.shape != size:
            raise ValueError(f"the mask is {mask.shape} (height, width), the image {size}")
        if not mask.any():
            raise ValueError("the mask is empty; say absent where nothing is there")
    return drawn
