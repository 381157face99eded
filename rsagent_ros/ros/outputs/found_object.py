"""`FoundObject`: what the standard messages tell about one object in one image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from geometry_msgs.msg import PoseStamped, Vector3

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.msg import Instance as InstanceMessage
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage

MAX_NUMBER = 255
"""Highest number of a tracked object: what a mono8 label image can hold."""


@dataclass(frozen=True, eq=False)
class FoundObject:
    """One object.

    Attributes:
        number: Its number in the label image, from 1. That of a tracked object stays the same from image to image.
        object_id: Its name in detections and tf: `track_7`, or the goal's id and the number.
        label: The instruction that found it.
        mask: (H, W) bool, of the image's size, not empty.
        box: Bounding box of the mask, pixels.
        confidence: 0..1.
        pose: Centre and axes of the oriented box; None without depth.
        size: Of that box along its axes, metres.
        track_id: -1 where it is not tracked.
    """

    number: int
    object_id: str
    label: str
    mask: Mask
    box: Box
    confidence: float
    pose: PoseStamped | None
    size: Vector3
    track_id: int


def found_objects(
    goal_id: str, label: str, messages: Sequence[InstanceMessage | TrackedMaskMessage], masks: Iterable[Mask]
) -> list[FoundObject]:
    """Collect what is known about objects of one image. Those with an empty mask are left out.

    Args:
        goal_id: Id of the goal that found them.
        label: Its instruction.
        messages: One for each, with pose and size where they are known.
        masks: (H, W) bool, one for each.
    """
    numbers = label_numbers([message.track_id for message in messages])
    found = []
    for message, number, mask in zip(messages, numbers, masks, strict=True):
        box = bounding_box(mask)
        if box is None:
            continue
        tracked = message.track_id >= 0
        found.append(
            FoundObject(
                number=number,
                object_id=f"track_{message.track_id}" if tracked else f"{goal_id}/{number}",
                label=label,
                mask=mask,
                box=box,
                confidence=float(message.confidence if isinstance(message, InstanceMessage) else message.score),
                pose=message.pose if message.has_pose else None,
                size=message.size,
                track_id=int(message.track_id),
            )
        )
    return found


def label_numbers(track_ids: Sequence[int]) -> list[int]:
    """Different numbers from 1, one for each object; that of a tracked one follows from its track id alone."""
    taken = {1 + track_id % MAX_NUMBER for track_id in track_ids if track_id >= 0}
    free = (number for number in range(1, len(track_ids) + len(taken) + 1) if number not in taken)
    return [1 + track_id % MAX_NUMBER if track_id >= 0 else next(free) for track_id in track_ids]
