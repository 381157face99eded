"""Evidence for a mask of an episode: a handful of numbers, from the Trace alone."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import decode_rle, iou
from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.votes import share

SAME_OBJECT = 0.3
"""IoU from which on two masks of an episode are tries at the same object."""

UNKNOWN = math.nan


@dataclass(frozen=True, slots=True)
class Evidence:
    """Numbers about one mask; NaN for what is not known, which a calibration replaces by what is usual.

    Attributes:
        score: The segmenter's estimate of its IoU, 0..1.
        stability: How little the mask changes with the level of its logits, 0..1.
        agreement: Mean IoU with the episode's other masks of the same object, 0..1; NaN for the only one.
        tries: Logarithm of 1 plus the number of these others.
        rival: Best score times stability of a mask of another object, 0..1; 0 where none was drawn.
        turns: Share of the allowed turns that were used, 0..1.
        mistakes: Logarithm of 1 plus the number of replies and tool calls that failed.
        logprob: Mean log-probability of a token of the last reply, nats; NaN where the backend does not say.
        share: Share of the votes that the answer with this mask has, 0..1; NaN where nothing was voted on.
    """

    score: float
    stability: float
    agreement: float
    tries: float
    rival: float
    turns: float
    mistakes: float
    logprob: float = UNKNOWN
    share: float = UNKNOWN

    def vector(self) -> NDArray[np.float64]:
        """(len(NAMES),) in the order of NAMES."""
        return np.array(astuple(self), dtype=np.float64)


NAMES = tuple(field.name for field in fields(Evidence))


def evidence_for(trace: Trace, mask_id: int) -> Evidence:
    """The evidence for one mask of an episode, finished or not. The same trace gives the same numbers.

    Args:
        trace: Of the episode.
        mask_id: Of a mask that one of its turns made, or that another attempt answered with.

    Raises:
        ValueError: No turn made that mask.
    """
    votes = share(trace, mask_id)
    trace, mask_id = trace.borrowed.get(mask_id, (trace, mask_id))
    drawn = trace.drawn
    if mask_id not in drawn:
        raise ValueError(f"the trace of goal {trace.goal_id!r} holds no mask {mask_id}; it holds {sorted(drawn)}")
    own = drawn[mask_id]
    mask = decode_rle(own.mask)
    overlaps = {other: iou(mask, decode_rle(made.mask)) for other, made in drawn.items() if other != mask_id}
    same = [overlap for overlap in overlaps.values() if overlap >= SAME_OBJECT]
    rivals = [
        drawn[other].score * drawn[other].stability for other, overlap in overlaps.items() if overlap < SAME_OBJECT
    ]
    failed = sum(bool(turn.error_code) for turn in trace.turns)
    logprobs = trace.turns[-1].logprobs
    return Evidence(
        score=_unit(own.score),
        stability=_unit(own.stability),
        agreement=float(np.mean(same)) if same else UNKNOWN,
        tries=math.log1p(len(same)),
        rival=_unit(max(rivals, default=0.0)),
        turns=_unit(len(trace.turns) / max(1, trace.max_turns)),
        mistakes=math.log1p(failed),
        logprob=float(np.mean(logprobs)) if logprobs else UNKNOWN,
        share=UNKNOWN if votes is None else votes,
    )


def answer_ids(trace: Trace) -> tuple[int, ...]:
    """Ids of the masks that the episode answered with: instances, or the candidates of an ambiguous goal."""
    return trace.instance_ids or trace.candidate_ids


def _unit(value: float) -> float:
    return min(1.0, max(0.0, float(value)))
