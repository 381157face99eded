"""The first pass through a bag: its topics, the times of its images, its goals. No picture is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag, BagMessage
from rsagent_ros.records.bag_goals import BagGoal, join_results
from rsagent_ros.records.message_fields import verdict_of
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.record_messages import REDACTION_TOPIC
from rsagent_ros.records.storage import plain_data

STAMPED = (ros.IMAGE, ros.COMPRESSED_IMAGE, ros.CAMERA_INFO)
GOAL_TEXT = "/goal_text"

JUMP = 1.0
"""Seconds by which a clock that is only drifting or late does not jump from one message to the next."""


@dataclass(frozen=True)
class MessageRef:
    """Reference to an image or its calibration.

    Attributes:
        position: Among all messages that were indexed.
        time: When it was logged, nanoseconds.
        stamp: Of its header, nanoseconds; `time` where that is 0.
    """

    position: int
    time: int
    stamp: int


@dataclass
class BagIndex:
    """Contents of a bag.

    Attributes:
        types: Of each topic that matters here.
        refs: The images and calibrations of each topic, in order.
        goals: In order.
        verdicts: What turned out to be true, in order; those without a stamp have the time they were logged.
        redactions: What was taken out of images, as `/agent/redaction` says: the bag is of redacted records.
        start, end: Times of the first and the last message that matters, nanoseconds; 0 for none.
        count: Messages that matter.
    """

    types: dict[str, str] = field(default_factory=dict)
    refs: dict[str, list[MessageRef]] = field(default_factory=dict)
    goals: list[BagGoal] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    redactions: set[str] = field(default_factory=set)
    start: int = 0
    end: int = 0
    count: int = 0


def matters(topic: str, msgtype: str) -> bool:
    """Whether a topic is one of images, calibrations, goals, results, verdicts or redactions."""
    return msgtype in (*STAMPED, ros.GOAL, ros.RESULT, ros.VERDICT) or (
        msgtype == ros.STRING and (topic.endswith(GOAL_TEXT) or topic == REDACTION_TOPIC)
    )


def index_bag(bag: Bag) -> BagIndex:
    """Read a bag once. It complains about what is lost or odd: clocks that jump, messages that are broken."""
    index = BagIndex()
    goals: list[BagGoal] = []
    results: list[BagGoal] = []
    newest = 0
    for message in bag.messages(matters):
        position, index.count = index.count, index.count + 1
        index.start = message.time if position == 0 else min(index.start, message.time)
        if newest - message.time > JUMP * 1e9:
            back = (newest - message.time) / 1e9
            bag.complain(f"{message.file}: the recorder's clock went back by {back:.3f} s, on {message.topic}")
            newest = message.time
        newest = max(newest, message.time)
        index.end = max(index.end, message.time)
        index.types.setdefault(message.topic, message.type)
        if message.type in STAMPED:
            _add_ref(bag, index.refs.setdefault(message.topic, []), message, position)
        elif (content := bag.decode(message)) is None:
            continue
        elif message.type == ros.VERDICT:
            _add_verdict(bag, index.verdicts, message, content)
        elif message.type == ros.GOAL:
            goals.append(BagGoal.from_goal(content, position, message.time))
        elif message.type == ros.RESULT:
            results.append(BagGoal.from_result(content, position, message.time))
        elif message.topic == REDACTION_TOPIC:
            index.redactions.add(content.data)
        else:
            goals.append(BagGoal.from_text(content.data, position, message.time))
    index.goals = join_results(goals, results)
    return index


def _add_verdict(bag: Bag, verdicts: list[Verdict], message: BagMessage, content: Any) -> None:
    try:
        verdict = verdict_of(content)
    except (ValueError, RunFailed) as error:
        why = error.message if isinstance(error, RunFailed) else str(error)
        bag.complain(f"{message.file}: a verdict on goal {content.goal_id!r} is left out: {why}")
        return
    # A verdict of an unknown time would count less than any other, however late it came.
    verdicts.append(verdict if verdict.stamp_ns else replace(verdict, stamp_ns=message.time))


def _add_ref(bag: Bag, refs: list[MessageRef], message: BagMessage, position: int) -> None:
    try:
        stamp = header_stamp(message)
    except ValueError as error:
        bag.complain(f"{message.file}: message {len(refs) + 1} on {message.topic} is left out: {error}")
        return
    refs.append(MessageRef(position, message.time, stamp))
    if len(refs) > 1:
        before = refs[-2]
        jump = (stamp - before.stamp) - (message.time - before.time)
        if abs(jump) > JUMP * 1e9:
            bag.complain(
                f"{message.file}: the stamps on {message.topic} jump by {jump / 1e9:+.3f} s against the recorder's "
                f"clock, at message {len(refs)}"
            )


def header_stamp(message: BagMessage) -> int:
    """The stamp of a message that begins with a header, without decoding the rest; its time where that is 0.

    Raises:
        ValueError: The message is too short to have one.
    """
    data = plain_data(message.data)
    if len(data) < 12:
        raise ValueError(f"it has {len(data)} bytes, too few for a header")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds) or message.time
