"""Conversions between messages and the agent's own types. Pixels are in `rsagent_ros.ros.camera.images`.

Numbers are converted to `float` and `int` here: a message that holds another type, such as NumPy's, ends the process
when it is published.
"""

from __future__ import annotations

import json
import math
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from rsagent_ros.action import Segment
from rsagent_ros.agent.errors import plain
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, area, bounding_box
from rsagent_ros.agent.outcome import Instance, Outcome, Result
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.msg import Instance as InstanceMessage
from rsagent_ros.msg import Mask as MaskMessage
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.msg import Timings
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.camera.images import jpeg, mask_image

_Same = TypeVar("_Same", Segment.Result, ResultMessage, Segment.Goal, GoalMessage)

OUTCOME_NUMBERS: dict[Outcome, int] = {
    Outcome.FOUND: ResultMessage.FOUND,
    Outcome.NOT_IN_VIEW: ResultMessage.NOT_IN_VIEW,
    Outcome.AMBIGUOUS: ResultMessage.AMBIGUOUS,
    Outcome.GAVE_UP: ResultMessage.GAVE_UP,
    Outcome.CANCELED: ResultMessage.CANCELED,
    Outcome.PREEMPTED: ResultMessage.PREEMPTED,
    Outcome.SHUTDOWN: ResultMessage.SHUTDOWN,
    Outcome.FAILED: ResultMessage.FAILED,
}
OUTCOMES: dict[int, Outcome] = {number: outcome for outcome, number in OUTCOME_NUMBERS.items()}


def same(source: object, kind: type[_Same]) -> _Same:
    """Copy a goal or result of the action to the topic's message with the same fields, or back. Not a deep copy."""
    twin = kind()
    for name in kind.get_fields_and_field_types():
        setattr(twin, name, getattr(source, name))
    return twin


def turn_message(
    turn: Turn, goal_id: str, instruction: str, header: Header, picture: NDArray[np.uint8] | None, quality: int
) -> TurnMessage:
    """Convert a turn to a message, for feedback and `~/trace`.

    Args:
        turn: As recorded.
        goal_id: Id of its goal.
        instruction: Instruction of its goal.
        header: Header of the source image.
        picture: (h, w, 3) uint8 RGB that the policy was shown after the turn; None for none.
        quality: JPEG quality of the picture, percent.
    """
    message = TurnMessage(
        header=header,
        goal_id=goal_id,
        instruction=text(instruction),
        index=_count(turn.index, 16),
        reply=text(turn.reply),
        thought=text(turn.thought),
        tool=turn.tool,
        arguments="" if turn.arguments is None else json.dumps(turn.arguments),
        error_code=turn.error_code,
        error_msg=text(turn.error_msg),
        observation=turn.observation,
        view=_region(Box(*turn.view)),
        mask_id=_count(turn.mask_id, 16),
        score=float(turn.score),
        reply_seconds=float(turn.reply_seconds),
        tool_seconds=float(turn.tool_seconds),
        prompt_tokens=_count(turn.prompt_tokens, 32),
        cached_tokens=_count(turn.cached_tokens, 32),
        sampled_tokens=_count(turn.sampled_tokens, 32),
        record=msgspec.json.encode(turn).decode(),
    )
    if turn.mask is not None:
        rle = {
            "size": turn.mask["size"],
            "counts": turn.mask["counts"].encode(),
        }  # read as it is: decoding takes longer
        x, y, width, height = (int(side) for side in coco.toBbox(rle))
        message.area, message.roi = int(coco.area(rle)), _region(Box(x, y, x + width, y + height))
    if picture is not None:
        message.overlay = jpeg(picture, header, quality)
    return message


def turn_of(message: TurnMessage) -> Turn:
    """Read the turn from a message.

    Raises:
        msgspec.ValidationError: Its `record` is not a turn.
    """
    return msgspec.json.decode(message.record, type=Turn)


def result_message(
    result: Result,
    *,
    goal_id: str,
    instruction: str,
    camera: str,
    header: Header,
    seconds: tuple[float, float],
    trace: Trace | None,
    masks: bool = True,
) -> ResultMessage:
    """Convert a result to a message, for `~/result` and the action.

    Args:
        result: Result of the episode; for a goal that ended before one began, its outcome and error.
        goal_id: Id of the goal.
        instruction: Instruction of the goal.
        camera: Camera of the goal.
        header: Header of the source image; an empty one where there was none.
        seconds: Seconds spent waiting for the image, and from acceptance to now.
        trace: Trace of the episode; None where none began.
        masks: Whether instances and candidates bring their pixels along; without, only their boxes and areas.
    """
    waited, total = seconds
    return ResultMessage(
        header=header,
        goal_id=goal_id,
        instruction=text(instruction),
        camera=camera,
        outcome=OUTCOME_NUMBERS[result.outcome],
        error_code=int(result.error_code),
        error_msg=text(result.error_msg),
        partial=result.partial,
        degraded=result.degraded,
        instances=[_instance(instance, header, masks) for instance in result.instances],
        candidates=[_instance(instance, header, masks) for instance in result.candidates],
        question=text(result.question),
        reason=text(result.reason),
        turns=_count(result.turns, 16),
        prompt_tokens=_count(result.prompt_tokens, 32),
        cached_tokens=_count(result.cached_tokens, 32),
        sampled_tokens=_count(result.sampled_tokens, 32),
        policy="" if trace is None else trace.policy,
        segmenter="" if trace is None else trace.segmenter,
        timings=Timings(
            frame=float(waited),
            policy=float(result.policy_seconds),
            tools=float(result.tool_seconds),
            total=float(total),
        ),
        trace="" if trace is None else trace.to_json(),
    )


def mask_message(result: Result, goal_id: str, header: Header) -> MaskMessage | None:
    """Convert all instances of a result to one mask; None when there are none."""
    mask, confidence = result.mask(), result.confidence
    if mask is None or confidence is None:
        return None
    return MaskMessage(
        header=header,
        goal_id=goal_id,
        image=mask_image(mask, header),
        confidence=float(confidence),
        partial=result.partial,
    )


def tracked_message(
    mask: Mask, header: Header, *, goal_id: str, track_id: int, state: int, age: float, score: float
) -> TrackedMaskMessage:
    """Build a message for `~/tracked_mask`; pose and size are filled in by `Poses`.

    Args:
        mask: (H, W) bool; empty where the object is not seen.
        header: Header of the image.
        goal_id: Id of the goal that found the object.
        track_id: Id of the object.
        state: A constant of the message.
        age: Seconds since the agent saw it, by the images' stamps.
        score: The tracker's score, 0..1.
    """
    message = TrackedMaskMessage(
        header=header,
        goal_id=goal_id,
        track_id=track_id,
        state=state,
        age=float(age),
        score=float(score),
        image=mask_image(mask, header),
    )
    box = bounding_box(mask)
    if box is not None:
        message.roi = _region(box)
    return message


def text(words: str) -> str:
    """Make text safe for a ROS string: what UTF-8 or a C string can't hold becomes a replacement character."""
    return plain(words).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _count(number: int, bits: int) -> int:
    """Clip a number to an unsigned field."""
    return min(max(int(number), 0), 2**bits - 1)


def _instance(instance: Instance, header: Header, with_mask: bool) -> InstanceMessage:
    return InstanceMessage(
        mask=mask_image(instance.mask, header) if with_mask else Image(header=header),
        roi=_region(instance.box),
        area=area(instance.mask),
        confidence=float(instance.confidence),
        track_id=-1,
    )


def _region(box: Box) -> RegionOfInterest:
    """Convert a box to whole pixels."""
    x0, y0 = math.floor(box.x0), math.floor(box.y0)
    return RegionOfInterest(x_offset=x0, y_offset=y0, width=math.ceil(box.x1) - x0, height=math.ceil(box.y1) - y0)
