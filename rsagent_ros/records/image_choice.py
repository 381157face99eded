"""Choice of the image that a goal of a bag looks at: the one that a node with camera_mode always would have taken.

A goal without a stamp gets the newest image that came before it, if its stamp is not older than `max_frame_age`; else
the first one that comes within `frame_timeout`. A goal with a stamp gets the nearest image, if that is within
`stamp_tolerance`. Depth and calibration go with the image where their stamps are within `stamp_tolerance` of its own.
The numbers are the node's parameters; only its buffer has no end here.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from rsagent_ros.records.bag_goals import BagGoal
from rsagent_ros.records.bag_index import MessageRef


@dataclass(frozen=True)
class ImageChoiceConfig:
    """Bounds on the image that a goal accepts: parameters of the node, with their defaults.

    Attributes:
        stamp_tolerance: Seconds between a goal's stamp and the image's.
        max_frame_age: Seconds between a goal's time and the image's stamp.
        frame_timeout: Seconds that a goal waits.

    Raises:
        ValueError: A number that is negative.
    """

    stamp_tolerance: float = 0.05
    max_frame_age: float = 1.0
    frame_timeout: float = 4.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} is {value}; it must be at least 0")


class NoImageError(Exception):
    """A goal for which the bag has no image; the message says why."""


def image_for(goal: BagGoal, images: Sequence[MessageRef], topic: str, config: ImageChoiceConfig) -> MessageRef:
    """The image that a goal looks at.

    Args:
        goal: Of the bag.
        images: Of the camera, in order.
        topic: Of the camera, for the sentence.
        config: Bounds.

    Raises:
        NoImageError: There is none.
    """
    if not images:
        raise NoImageError(f"there is no image on {topic}")
    if goal.stamp:
        near = nearest(goal.stamp, images)
        if abs(near.stamp - goal.stamp) > config.stamp_tolerance * 1e9:
            raise NoImageError(
                f"the image of {topic} nearest to its stamp is {abs(near.stamp - goal.stamp) / 1e9:.3f} s off, more "
                f"than stamp_tolerance ({config.stamp_tolerance:g} s)"
            )
        return near
    following = bisect.bisect_left(images, goal.position, key=lambda image: image.position)
    if following and _fresh(images[following - 1], goal.time, config):
        return images[following - 1]
    for later in images[following:]:
        if later.time - goal.time > config.frame_timeout * 1e9:
            break
        if _fresh(later, later.time, config):
            return later
    if not following:
        wait = (images[0].time - goal.time) / 1e9
        raise NoImageError(
            f"the first image of {topic} came {wait:.3f} s after it, or is stamped otherwise; it waits for "
            f"frame_timeout ({config.frame_timeout:g} s)"
        )
    age = (goal.time - images[following - 1].stamp) / 1e9
    raise NoImageError(
        f"the newest image of {topic} is stamped {abs(age):.3f} s {'before' if age > 0 else 'after'} it, more than "
        f"max_frame_age ({config.max_frame_age:g} s)"
    )


def companion_of(image: MessageRef, others: Sequence[MessageRef], config: ImageChoiceConfig) -> MessageRef | None:
    """The depth image or calibration that goes with an image; None where none fits."""
    if not others:
        return None
    near = nearest(image.stamp, others)
    return near if abs(near.stamp - image.stamp) <= config.stamp_tolerance * 1e9 else None


def nearest(stamp: int, refs: Sequence[MessageRef]) -> MessageRef:
    """The one whose stamp is nearest; of equals the first."""
    return min(refs, key=lambda each: abs(each.stamp - stamp))


def _fresh(image: MessageRef, now: int, config: ImageChoiceConfig) -> bool:
    return abs(now - image.stamp) <= config.max_frame_age * 1e9
