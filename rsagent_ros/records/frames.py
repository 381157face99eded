"""Which image of a bag a goal looks at: the one that a node with camera_mode always would have taken.

A goal without a stamp gets the newest image that came before it, if its stamp is not older than `max_frame_age`; else
the first one that comes within `frame_timeout`. A goal with a stamp gets the nearest image, if that is within
`stamp_tolerance`. Depth and calibration go with the image where their stamps are within `stamp_tolerance` of its own.
The numbers are the node's parameters; only its buffer has no end here.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from rsagent_ros.records.requests import Asked
from rsagent_ros.records.survey import Seen


@dataclass(frozen=True)
class Patience:
    """What a goal accepts as its image; parameters of the node, with their defaults.

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


def image_for(goal: Asked, images: Sequence[Seen], topic: str, patience: Patience) -> Seen:
    """The image that a goal looks at.

    Args:
        goal: Of the bag.
        images: Of the camera, in order.
        topic: Of the camera, for the sentence.
        patience: What is accepted.

    Raises:
        NoImageError: There is none.
    """
    if not images:
        raise NoImageError(f"there is no image on {topic}")
    if goal.stamp:
        near = nearest(goal.stamp, images)
        if abs(near.stamp - goal.stamp) > patience.stamp_tolerance * 1e9:
            raise NoImageError(
                f"the image of {topic} nearest to its stamp is {abs(near.stamp - goal.stamp) / 1e9:.3f} s off, more "
                f"than stamp_tolerance ({patience.stamp_tolerance:g} s)"
            )
        return near
    following = bisect.bisect_left(images, goal.place, key=lambda seen: seen.place)
    if following and _fresh(images[following - 1], goal.time, patience):
        return images[following - 1]
    for seen in images[following:]:
        if seen.time - goal.time > patience.frame_timeout * 1e9:
            break
        if _fresh(seen, seen.time, patience):
            return seen
    if not following:
        wait = (images[0].time - goal.time) / 1e9
        raise NoImageError(
            f"the first image of {topic} came {wait:.3f} s after it, or is stamped otherwise; it waits for "
            f"frame_timeout ({patience.frame_timeout:g} s)"
        )
    age = (goal.time - images[following - 1].stamp) / 1e9
    raise NoImageError(
        f"the newest image of {topic} is stamped {abs(age):.3f} s {'before' if age > 0 else 'after'} it, more than "
        f"max_frame_age ({patience.max_frame_age:g} s)"
    )


def companion_of(image: Seen, others: Sequence[Seen], patience: Patience) -> Seen | None:
    """The depth image or calibration that goes with an image; None where none fits."""
    if not others:
        return None
    near = nearest(image.stamp, others)
    return near if abs(near.stamp - image.stamp) <= patience.stamp_tolerance * 1e9 else None


def nearest(stamp: int, seen: Sequence[Seen]) -> Seen:
    """The one whose stamp is nearest; of equals the first."""
    return min(seen, key=lambda each: abs(each.stamp - stamp))


def _fresh(image: Seen, now: int, patience: Patience) -> bool:
    return abs(now - image.stamp) <= patience.max_frame_age * 1e9
