"""`Answer`: the result of a goal, as a planner reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from rsagent_ros.action import Segment
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.images import to_mask
from rsagent_ros.msg import Instance as InstanceMessage
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from rsagent_ros.ros.conversions import OUTCOMES


@dataclass(frozen=True, eq=False)
class DetectedObject:
    """One object of an answer.

    Attributes:
        mask: (H, W) bool, of the source image's size.
        box: Bounding box of the mask, pixels.
        confidence: 0..1; a probability where the node has a calibration.
        track_id: Id of the object in `Agent.tracked`; -1 where it is not tracked.
        position: (3,) metres, centre of the oriented box, in `frame_id`; None without depth.
        size: (3,) metres along the axes of the oriented box; None without depth.
        frame_id: The camera's optical frame, or the node's `output_frame`; empty without depth.
        message: Everything else, such as the orientation in `pose`.
    """

    mask: Mask
    box: Box
    confidence: float
    track_id: int
    position: NDArray[np.float64] | None
    size: NDArray[np.float64] | None
    frame_id: str
    message: InstanceMessage

    def __repr__(self) -> str:
        corners = ", ".join(f"{side:g}" for side in (self.box.x0, self.box.y0, self.box.x1, self.box.y1))
        where = position_text(self.position, self.frame_id)
        track = "" if self.track_id < 0 else f", track_id={self.track_id}"
        return f"DetectedObject(box=({corners}), confidence={self.confidence:.2f}{track}{where})"


@dataclass(frozen=True, eq=False)
class Answer:
    """Result of a goal.

    Attributes:
        outcome: Compares with words: `answer.outcome == "found"`.
        error_code: `NONE` unless something is worth a code.
        error_msg: One sentence; empty when there is no error.
        instances: Objects that were found.
        candidates: AMBIGUOUS: the objects that fit; GAVE_UP: those that the policy says could be meant.
        question: AMBIGUOUS: what to ask the user.
        reason: NOT_IN_VIEW, GAVE_UP: what the policy says.
        partial: The instances are the best so far, not what the policy ended with.
        goal_id: As sent, or as the node made it.
        header: Of the source image: stamp, and camera optical frame.
        seconds: From acceptance to result.
        message: Everything else: the action's result as it came.
    """

    outcome: Outcome
    error_code: ErrorCode
    error_msg: str
    instances: tuple[DetectedObject, ...]
    candidates: tuple[DetectedObject, ...]
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
        return np.asarray(np.logical_or.reduce([one.mask for one in self.instances]), dtype=np.bool_)

    @property
    def view_direction(self) -> NDArray[np.float64] | None:
        """NOT_IN_VIEW: where to look next, (3,) unit vector in the camera's optical frame; None where unknown."""
        if not self.message.has_view_direction:
            return None
        towards = self.message.view_direction
        return np.array([towards.x, towards.y, towards.z])

    @property
    def confidence(self) -> float | None:
        """Confidence of the least certain instance, or of the surest candidate of a question; None without a mask."""
        if self.outcome is Outcome.AMBIGUOUS:
            return max((one.confidence for one in self.candidates), default=None)
        return min((one.confidence for one in self.instances), default=None)

    def __repr__(self) -> str:
        parts = [f"{self.outcome}{' (partial)' if self.partial else ''}"]
        if self.error_code is not ErrorCode.NONE:
            parts.append(f"{self.error_code.name}: {self.error_msg!r}")
        parts += [f"{name}={getattr(self, name)!r}" for name in ("question", "reason") if getattr(self, name)]
        parts += [f"{name}={list(getattr(self, name))}" for name in ("instances", "candidates") if getattr(self, name)]
        return f"Answer({', '.join(parts)}, goal_id={self.goal_id!r}, {self.seconds:.2f} s)"


def answer_of(message: Segment.Result) -> Answer:
    """The answer in a result of the action. Masks that it does not bring (`result_masks: none`) are in its trace."""
    objects = tuple(map(_object, [*message.instances, *message.candidates], _masks(message)))
    return Answer(
        outcome=OUTCOMES[message.outcome],
        error_code=ErrorCode(message.error_code),
        error_msg=message.error_msg,
        instances=objects[: len(message.instances)],
        candidates=objects[len(message.instances) :],
        question=message.question,
        reason=message.reason,
        partial=message.partial,
        goal_id=message.goal_id,
        header=message.header,
        seconds=message.timings.total,
        message=message,
    )


def position_of(message: InstanceMessage | TrackedMaskMessage) -> NDArray[np.float64] | None:
    """(3,) metres, as `pose` has it; None where it has none."""
    if not message.has_pose:
        return None
    position = message.pose.pose.position
    return np.array([position.x, position.y, position.z])


def position_text(position: NDArray[np.float64] | None, frame_id: str) -> str:
    """Position and frame for `repr`; empty where the position is unknown."""
    if position is None:
        return ""
    return f", position=({', '.join(f'{part:.3f}' for part in position)}) in {frame_id!r}"


def _masks(message: Segment.Result) -> list[Mask]:
    """The masks of instances, then candidates: as pixels, else as the run lengths that the trace has of them."""
    given = [*message.instances, *message.candidates]
    if all(one.mask.width for one in given):
        return [to_mask(one.mask) for one in given]
    trace = Trace.from_json(message.trace)
    masks = [trace.mask(number) for number in (*trace.instance_ids, *trace.candidate_ids)]
    return [mask for mask in masks if mask is not None]


def _object(message: InstanceMessage, mask: Mask) -> DetectedObject:
    roi = message.roi
    return DetectedObject(
        mask=mask,
        box=Box(roi.x_offset, roi.y_offset, roi.x_offset + roi.width, roi.y_offset + roi.height),
        confidence=message.confidence,
        track_id=message.track_id,
        position=position_of(message),
        size=np.array([message.size.x, message.size.y, message.size.z]) if message.has_pose else None,
        frame_id=message.pose.header.frame_id if message.has_pose else "",
        message=message,
    )
