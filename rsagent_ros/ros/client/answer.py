"""`Answer`: how a goal ended, as a planner reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from rsagent_ros.action import Segment
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import ErrorCode, Instance, Outcome
from rsagent_ros.images import to_mask
from rsagent_ros.ros.conversions import OUTCOMES


@dataclass(frozen=True)
class Answer:
    """How a goal ended.

    Attributes:
        outcome: Compares with words: `answer.outcome == "found"`.
        error_code: `NONE` unless something is worth a code.
        error_msg: One sentence; empty when there is no error.
        instances: What was found.
        candidates: AMBIGUOUS: the things that fit.
        question: AMBIGUOUS: what to ask the user.
        reason: NOT_IN_VIEW: what the policy says.
        partial: The instances are the best so far, not what the policy ended with.
        goal_id: As sent, or as the node made it.
        header: Of the source image: stamp, and camera optical frame.
        seconds: From acceptance to result.
        message: Everything else: the action's result as it came.
    """

    outcome: Outcome
    error_code: ErrorCode
    error_msg: str
    instances: tuple[Instance, ...]
    candidates: tuple[Instance, ...]
    question: str
    reason: str
    partial: bool
    goal_id: str
    header: Header
    seconds: float
    message: Segment.Result = field(repr=False)

    @property
    def mask(self) -> Mask | None:
        """All instances together as (H, W) bool; None when nothing was found."""
        if not self.instances:
            return None
        return np.asarray(np.logical_or.reduce([instance.mask for instance in self.instances]), dtype=np.bool_)

    @property
    def view_direction(self) -> NDArray[np.float64] | None:
        """NOT_IN_VIEW: where to look next, (3,) of length 1 in the camera's optical frame; None where unknown."""
        if not self.message.has_view_direction:
            return None
        towards = self.message.view_direction
        return np.array([towards.x, towards.y, towards.z])

    @property
    def confidence(self) -> float:
        """Of the least sure instance, 0..1; 0 when there is none."""
        return min((instance.confidence for instance in self.instances), default=0.0)


def answer_of(message: Segment.Result) -> Answer:
    """The answer in a result of the action."""
    return Answer(
        outcome=OUTCOMES[message.outcome],
        error_code=ErrorCode(message.error_code),
        error_msg=message.error_msg,
        instances=_instances(message.instances),
        candidates=_instances(message.candidates),
        question=message.question,
        reason=message.reason,
        partial=message.partial,
        goal_id=message.goal_id,
        header=message.header,
        seconds=message.timings.total,
        message=message,
    )


def _instances(messages: Any) -> tuple[Instance, ...]:
    found = []
    for number, message in enumerate(messages, 1):
        roi = message.roi
        box = Box(roi.x_offset, roi.y_offset, roi.x_offset + roi.width, roi.y_offset + roi.height)
        found.append(Instance(to_mask(message.mask), box, message.confidence, number))
    return tuple(found)
