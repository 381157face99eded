"""The second pass through a bag: each goal becomes an example as soon as all that it looks at has come, decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.data.example import Example, as_id
from rsagent_ros.data.ref import Skipped
from rsagent_ros.images import compressed_to_rgb, raw_to_rgb, to_depth
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag, BagMessage
from rsagent_ros.records.bag_goals import BagGoal
from rsagent_ros.records.bag_index import BagIndex, MessageRef, header_stamp
from rsagent_ros.records.camera_topics import CameraTopics
from rsagent_ros.records.image_choice import ImageChoiceConfig, NoImageError, companion_of, image_for
from rsagent_ros.records.message_fields import camera_of, stamp_of

THE_CAMERA = ("", "*")
"""Names of cameras that mean the one there is."""

GoalExample = tuple[BagGoal, Example | Skipped]
"""A goal and its example, of which nobody has said yet what is true; or the reason why it can't be run."""


@dataclass(eq=False)
class _Pending:
    """A goal whose messages are still to come: their keys by what they are, and those that have come."""

    goal: BagGoal
    keys: dict[str, tuple[str, int, int]]
    messages: dict[str, BagMessage] = field(default_factory=dict)


def bag_examples(bag: Bag, index: BagIndex, topics: CameraTopics, config: ImageChoiceConfig) -> Iterator[GoalExample]:
    """Every goal of the index, about in order; the bag is read once more, and not further than needed."""
    pending: list[_Pending] = []
    for goal in index.goals:
        if not _is_for(goal, topics.image, index.refs.get(topics.image, [])):
            yield _skipped(bag, goal, f"it names the camera {goal.camera!r}; only {topics.image} is looked at")
        elif goal.image is not None:
            yield _example(bag, goal, goal.image, goal.depth, goal.camera_info)
        else:
            try:
                image = image_for(goal, index.refs.get(topics.image, []), topics.image, config)
            except NoImageError as error:
                yield _skipped(bag, goal, str(error))
            else:
                pending.append(_Pending(goal, _keys(image, index, topics, config)))
    yield from _read(bag, pending)


def _is_for(goal: BagGoal, topic: str, images: list[MessageRef]) -> bool:
    """Whether a goal means this camera: by no name, by one that is part of the topic, or by a result on its image."""
    if goal.camera in THE_CAMERA or f"/{goal.camera}/" in f"/{topic}/":
        return True
    stamp = 0 if goal.result is None else stamp_of(goal.result.header.stamp)
    return any(image.stamp == stamp for image in images)


def _keys(
    image: MessageRef, index: BagIndex, topics: CameraTopics, config: ImageChoiceConfig
) -> dict[str, tuple[str, int, int]]:
    keys = {"image": (topics.image, image.time, image.stamp)}
    for name in ("depth", "camera_info"):
        topic = getattr(topics, name)
        companion = companion_of(image, index.refs.get(topic, []), config)
        if companion is not None:
            keys[name] = (topic, companion.time, companion.stamp)
    return keys


def _read(bag: Bag, pending: list[_Pending]) -> Iterator[GoalExample]:
    topics = {key[0] for wait in pending for key in wait.keys.values()}
    left = {key for wait in pending for key in wait.keys.values()}
    if left:
        for message in bag.messages(lambda topic, msgtype: topic in topics):
            try:
                key = (message.topic, message.time, header_stamp(message))
            except ValueError:
                continue  # complained about when the bag was indexed
            if key not in left:
                continue
            left.remove(key)
            for wait in pending:
                wait.messages |= {name: message for name, wanted in wait.keys.items() if wanted == key}
            for wait in [wait for wait in pending if len(wait.messages) == len(wait.keys)]:
                pending.remove(wait)
                yield _decoded(bag, wait)
            if not left:
                break
    for wait in pending:
        yield _decoded(bag, wait)


def _decoded(bag: Bag, wait: _Pending) -> GoalExample:
    parts = {name: bag.decode(message) for name, message in wait.messages.items()}
    _, time, stamp = wait.keys["image"]
    if parts.get("image") is None:
        return _skipped(bag, wait.goal, f"its image, logged at {time / 1e9:.3f} s, can't be read")
    goal, example = _example(bag, wait.goal, parts["image"], parts.get("depth"), parts.get("camera_info"))
    return replace(goal, image_stamp=goal.image_stamp or stamp), example


def _example(bag: Bag, goal: BagGoal, image: Any, depth: Any, info: Any) -> GoalExample:
    try:
        rgb = compressed_to_rgb(image) if image.__msgtype__ == ros.COMPRESSED_IMAGE else raw_to_rgb(image)
    except RunFailed as failure:
        return _skipped(bag, goal, failure.message)
    height, width = rgb.shape[:2]
    if info is not None and (info.width, info.height) != (width, height):
        size = f"{info.width} x {info.height}"
        bag.complain(f"camera_info is of {size} pixels, the image of {width} x {height}: left out")
        info = None
    example = Example(
        _id(goal),
        rgb,
        goal.instruction,
        None,
        depth=_metres(depth, (width, height), bag.complain),
        camera=None if info is None else camera_of(info),
        source=str(bag.path),
        tags=(goal.camera,) if goal.camera else (),
    )
    return replace(goal, image_stamp=stamp_of(image.header.stamp), frame_id=image.header.frame_id), example


def _metres(depth: Any, size: tuple[int, int], complain: Callable[[str], object]) -> NDArray[np.float32] | None:
    """(H, W) metres of a depth image; None without one, and, with a complaint, where it can't be used."""
    if depth is None:
        return None
    try:
        metres = to_depth(depth)
    except RunFailed as failure:
        complain(f"depth is left out: {failure.message}")
        return None
    height, width = metres.shape
    if (width, height) != size:
        complain(f"depth is of {width} x {height} pixels, the image of {size[0]} x {size[1]}: left out")
        return None
    return metres


def _skipped(bag: Bag, goal: BagGoal, reason: str) -> GoalExample:
    return goal, Skipped(goal.goal_id, str(bag.path), reason)


def _id(goal: BagGoal) -> str:
    try:
        return as_id(goal.goal_id)
    except ValueError:  # a name that leaves nothing which could name a file
        return f"goal-{goal.position}"
