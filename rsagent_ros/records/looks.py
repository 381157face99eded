"""The second pass through a bag: each goal with the picture it looks at, decoded, as soon as all of it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.images import compressed_to_rgb, raw_to_rgb, to_depth
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag, Logged
from rsagent_ros.records.cameras import Topics
from rsagent_ros.records.frames import NoImageError, Patience, companion_of, image_for
from rsagent_ros.records.messages import camera_of, stamp_of
from rsagent_ros.records.requests import Asked
from rsagent_ros.records.survey import Seen, Survey, header_stamp

THE_CAMERA = ("", "*")
"""Names of cameras that mean the one there is."""


@dataclass(frozen=True, eq=False)
class Look:
    """A goal with what it looks at.

    Attributes:
        goal: As asked.
        rgb: (H, W, 3) uint8, read-only.
        stamp_ns: Of the image, nanoseconds.
        frame_id: Of the image.
        depth: (H, W) float32 metres, NaN where unknown; None where there is none that fits.
        camera_info: None where unknown.
    """

    goal: Asked
    rgb: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str
    depth: NDArray[np.float32] | None = None
    camera_info: PinholeCamera | None = None


@dataclass(frozen=True, eq=False)
class Skipped:
    """A goal that can't be run, and why."""

    goal: Asked
    reason: str


@dataclass(eq=False)
class _Waiting:
    """A goal whose messages are still to come: their keys by what they are, and those that have come."""

    goal: Asked
    keys: dict[str, tuple[str, int, int]]
    messages: dict[str, Logged] = field(default_factory=dict)


def looks(bag: Bag, found: Survey, topics: Topics, patience: Patience) -> Iterator[Look | Skipped]:
    """Every goal of the survey, run or not, about in order; the bag is read once more, and not further than needed."""
    waiting: list[_Waiting] = []
    for goal in found.goals:
        if not _looked_through(goal, topics.image, found.seen.get(topics.image, [])):
            yield Skipped(goal, f"it names the camera {goal.camera!r}; only {topics.image} is looked at")
        elif goal.image is not None:
            yield _look(goal, goal.image, goal.depth, goal.camera_info, bag.complain)
        else:
            try:
                image = image_for(goal, found.seen.get(topics.image, []), topics.image, patience)
            except NoImageError as error:
                yield Skipped(goal, str(error))
            else:
                waiting.append(_Waiting(goal, _keys(image, found, topics, patience)))
    yield from _read(bag, waiting)


def _looked_through(goal: Asked, topic: str, images: list[Seen]) -> bool:
    """Whether a goal means this camera: by no name, by one that is part of the topic, or by a result on its image."""
    if goal.camera in THE_CAMERA or f"/{goal.camera}/" in f"/{topic}/":
        return True
    stamp = 0 if goal.result is None else stamp_of(goal.result.header.stamp)
    return any(image.stamp == stamp for image in images)


def _keys(image: Seen, found: Survey, topics: Topics, patience: Patience) -> dict[str, tuple[str, int, int]]:
    keys = {"image": (topics.image, image.time, image.stamp)}
    for name in ("depth", "camera_info"):
        topic = getattr(topics, name)
        companion = companion_of(image, found.seen.get(topic, []), patience)
        if companion is not None:
            keys[name] = (topic, companion.time, companion.stamp)
    return keys


def _read(bag: Bag, waiting: list[_Waiting]) -> Iterator[Look | Skipped]:
    topics = {key[0] for wait in waiting for key in wait.keys.values()}
    left = {key for wait in waiting for key in wait.keys.values()}
    if left:
        for message in bag.messages(lambda topic, msgtype: topic in topics):
            try:
                key = (message.topic, message.time, header_stamp(message))
            except ValueError:
                continue  # the survey has told
            if key not in left:
                continue
            left.remove(key)
            for wait in waiting:
                wait.messages |= {name: message for name, wanted in wait.keys.items() if wanted == key}
            for wait in [wait for wait in waiting if len(wait.messages) == len(wait.keys)]:
                waiting.remove(wait)
                yield _decoded(bag, wait)
            if not left:
                break
    for wait in waiting:
        yield _decoded(bag, wait)


def _decoded(bag: Bag, wait: _Waiting) -> Look | Skipped:
    parts = {name: bag.decode(message) for name, message in wait.messages.items()}
    if parts.get("image") is None:
        return Skipped(wait.goal, f"its image, logged at {wait.keys['image'][1] / 1e9:.3f} s, can't be read")
    look = _look(wait.goal, parts["image"], parts.get("depth"), parts.get("camera_info"), bag.complain)
    if isinstance(look, Look) and not look.stamp_ns:
        return Look(wait.goal, look.rgb, wait.keys["image"][2], look.frame_id, look.depth, look.camera_info)
    return look


def _look(goal: Asked, image: Any, depth: Any, info: Any, complain: Callable[[str], object]) -> Look | Skipped:
    try:
        rgb = compressed_to_rgb(image) if image.__msgtype__ == ros.COMPRESSED_IMAGE else raw_to_rgb(image)
    except RunFailed as failure:
        return Skipped(goal, failure.message)
    height, width = rgb.shape[:2]
    if info is not None and (info.width, info.height) != (width, height):
        complain(f"camera_info is of {info.width} x {info.height} pixels, the image of {width} x {height}: left out")
        info = None
    metres: NDArray[np.float32] | None = None
    if depth is not None and (depth.width, depth.height) != (width, height):
        complain(f"depth is of {depth.width} x {depth.height} pixels, the image of {width} x {height}: left out")
    elif depth is not None:
        try:
            metres = to_depth(depth)
        except RunFailed as failure:
            complain(f"depth is left out: {failure.message}")
    camera = None if info is None else camera_of(info)
    return Look(goal, rgb, stamp_of(image.header.stamp), image.header.frame_id, metres, camera)
