"""The end of an episode: outcome, error code, and the one Result.

The numbers are those of `msg/Result.msg`; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box


class Outcome(StrEnum):
    """The eight ways an episode can end."""

    FOUND = "found"
    NOT_IN_VIEW = "not_in_view"
    AMBIGUOUS = "ambiguous"
    GAVE_UP = "gave_up"
    CANCELED = "canceled"
    PREEMPTED = "preempted"
    SHUTDOWN = "shutdown"
    FAILED = "failed"


class ErrorCode(IntEnum):
    """Why a goal failed or gave up; `NONE` when the policy ended it by its own call."""

    NONE = 0
    INVALID_GOAL = 10
    FOLLOW_UP_UNKNOWN = 11
    REJECTED_BUSY = 12
    NOT_ACTIVE = 13
    NO_PUBLISHER = 20
    QOS_MISMATCH = 21
    NO_FRAME = 22
    STALE_FRAME = 23
    NEEDS_BUFFER = 24
    STAMP_NOT_BUFFERED = 25
    BAD_IMAGE = 26
    UNKNOWN_CAMERA = 27
    MODEL_UNAVAILABLE = 30
    POLICY_FAILED = 31
    SEGMENTER_FAILED = 32
    OUT_OF_MEMORY = 33
    CONTEXT_TOO_LONG = 34
    TIME_SPENT = 40
    TURNS_SPENT = 41
    TOKENS_SPENT = 42
    NOT_UNDERSTOOD = 43
    UNSURE = 44
    INTERNAL = 99


@dataclass(frozen=True, eq=False)
class Instance:
    """One thing that was found, or one candidate of an ambiguous goal.

    Attributes:
        mask: (H, W) bool, of the full frame.
        box: Bounding box of the mask, full-frame pixels.
        confidence: 0..1, from evidence at hand; not calibrated.
        mask_id: The id the policy knew it by.
    """

    mask: NDArray[np.bool_]
    box: Box
    confidence: float
    mask_id: int


@dataclass(frozen=True, eq=False)
class Result:
    """The end of one episode: there is exactly one, whatever happened.

    An empty result (NOT_IN_VIEW) is a result, a failure is an error: they never look alike.

    Attributes:
        outcome: How it ended.
        error_code: `NONE` unless the outcome is FAILED, GAVE_UP, PREEMPTED or SHUTDOWN for a reason worth a code.
        error_msg: One sentence, empty when there is no error.
        instances: What was found. With `partial`, the best mask so far.
        candidates: AMBIGUOUS: the things that fit. GAVE_UP by the policy's own call or by a tie of votes: those
            that it or they named.
        question: AMBIGUOUS only: for the user.
        reason: NOT_IN_VIEW, and GAVE_UP by the policy's own call: in its words; GAVE_UP by a tie of votes: these.
        partial: `instances` is not what the policy ended with.
        degraded: A fallback policy gave at least one reply.
        turns: Replies that were used.
        prompt_tokens, cached_tokens, sampled_tokens: Sums over the turns, 0 where the backend does not count.
        policy_seconds, tool_seconds, total_seconds: Steady clock.
    """

    outcome: Outcome
    error_code: ErrorCode = ErrorCode.NONE
    error_msg: str = ""
    instances: tuple[Instance, ...] = ()
    candidates: tuple[Instance, ...] = ()
    question: str = ""
    reason: str = ""
    partial: bool = False
    degraded: bool = False
    turns: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    sampled_tokens: int = 0
    policy_seconds: float = 0.0
    tool_seconds: float = 0.0
    total_seconds: float = 0.0

    @property
    def confidence(self) -> float | None:
        """Confidence of the least sure instance, or of the surest candidate of a question; None where none is marked.

        NOT_IN_VIEW has none: there is no mask whose evidence could speak for it.
        """
        if self.outcome is Outcome.AMBIGUOUS:
            return max((candidate.confidence for candidate in self.candidates), default=None)
        return min((instance.confidence for instance in self.instances), default=None)

    def mask(self) -> NDArray[np.bool_] | None:
        """All instances together as one (H, W) bool mask; None when there is none."""
        if not self.instances:
            return None
        return np.asarray(
            np.logical_or.reduce([instance.mask for instance in self.instances]),
            dtype=np.bool_,
        )
