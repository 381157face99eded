"""Prediction: the answer to one example, of the agent (from a Trace) or of any other system (a mask)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace, Turn

TOOLS = frozenset({"find", "segment", "zoom", "reset_view", "combine"})
"""Calls that do something; the others only end the episode."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """One answer, and how it came about; nothing about its truth.

    Attributes:
        outcome: As an episode ends.
        mask: (H, W) bool; all instances together, or the candidate with the highest confidence. None for no mask.
        candidates: AMBIGUOUS: (H, W) bool each.
        instances: FOUND and GAVE_UP: (H, W) bool each; `mask` is all of them together.
        confidence: 0..1: of the least sure instance, or of that candidate. None where nobody said.
        first_mask: (H, W) bool, the first that was drawn on the way.
        error_code, error_msg: Of a failure.
        partial: The mask is only the best so far.
        degraded: A fallback policy had a part in it.
        turns, tool_calls, bad_replies, prompt_tokens, sampled_tokens: Counts.
        repaired_replies: Replies that were read in spite of a slip.
    """

    outcome: Outcome
    mask: Mask | None = None
    candidates: tuple[Mask, ...] = ()
    instances: tuple[Mask, ...] = ()
    confidence: float | None = None
    first_mask: Mask | None = None
    error_code: str = ""
    error_msg: str = ""
    partial: bool = False
    degraded: bool = False
    turns: int = 0
    tool_calls: int = 0
    bad_replies: int = 0
    prompt_tokens: int = 0
    sampled_tokens: int = 0
    repaired_replies: int = 0


def prediction_of(trace: Trace) -> Prediction:
    """The answer of a finished episode.

    Raises:
        ValueError: The trace is of an episode that still ran, or names masks that it does not hold.
    """
    if trace.outcome is None:
        raise ValueError(f"the trace of goal {trace.goal_id!r} is not finished")
    ambiguous = trace.outcome is Outcome.AMBIGUOUS
    ids = trace.candidate_ids if ambiguous else trace.instance_ids
    masks = [mask for mask in map(trace.mask, ids) if mask is not None]
    if len(masks) != len(ids) or len(trace.confidences) != len(ids):
        raise ValueError(f"the trace of goal {trace.goal_id!r} answers with masks that it does not hold")
    best = int(np.argmax(trace.confidences)) if masks else 0
    mask = None
    if masks:
        mask = masks[best] if ambiguous else np.logical_or.reduce(masks)
    confidence = (trace.confidences[best] if ambiguous else min(trace.confidences)) if masks else None
    replies = trace.replies
    first = next(iter(trace.drawn), 0)
    return Prediction(
        outcome=trace.outcome,
        mask=mask,
        candidates=tuple(masks) if ambiguous else (),
        instances=() if ambiguous else tuple(masks),
        confidence=confidence,
        first_mask=trace.mask(first) if first else None,
        error_code=trace.error_code.name if trace.error_code else "",
        error_msg=trace.error_msg,
        partial=trace.partial,
        degraded=any(reply.degraded for reply in replies),
        turns=len(trace.turns),
        tool_calls=sum(turn.tool in TOOLS for turn in trace.turns),
        bad_replies=sum(map(is_bad_reply, trace.turns)),
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        sampled_tokens=sum(reply.sampled_tokens for reply in replies),
        repaired_replies=sum(bool(turn.slips) and not is_bad_reply(turn) for turn in trace.turns),
    )


def is_bad_reply(turn: Turn) -> bool:
    """Whether the reply could not be used: no valid call, or one that names a mask that there is not.

    A valid call whose tool had nothing to give is no bad reply.
    """
    return not turn.tool or turn.error_code == "unknown_mask"
