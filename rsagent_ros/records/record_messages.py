"""Messages of a record's file, in the order of their importance, should the file be cut."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, area, bounding_box, decode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.images import compressed_to_rgb, to_mask
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.interfaces import blank
from rsagent_ros.records.message_fields import camera_of, stamp_of, verdict_of
from rsagent_ros.records.record import REDACTIONS, VERDICT_SOURCES, Record, Verdict, answer_mask, answer_masks

GOAL_TOPIC, TRACE_TOPIC, RESULT_TOPIC = "/agent/goal", "/agent/trace", "/agent/result"
MASK_TOPIC, VERDICT_TOPIC, REDACTION_TOPIC = "/agent/mask", "/agent/verdict", "/agent/redaction"
ANNOTATOR_TOPIC, INSTANCE_TOPIC = "/agent/verdict/annotator", "/agent/verdict/instance"
"""Parts of a verdict that `msg/Verdict` has no field for; they follow it. Release 0.1.0 skips them."""

IMAGE_TOPIC, CAMERA_INFO_TOPIC, DEPTH_TOPIC = "/image/compressed", "/camera_info", "/depth"

_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True, eq=False)
class RecordMessage:
    """A message on its way into a file; `time` in nanoseconds."""

    topic: str
    time: int
    message: Any


def entries(record: Record) -> Iterator[RecordMessage]:
    """The messages of a record. Everything is stamped in the time of its image, turns by the seconds they took."""
    trace, start = record.trace, record.stamp_ns
    header = blank("std_msgs/msg/Header", stamp=_time(start), frame_id=record.frame_id)
    goal = blank(
        ros.GOAL,
        id=record.goal_id,
        instruction=trace.instruction,
        camera=record.camera,
        stamp=header.stamp,
        max_turns=min(trace.max_turns, 255),
    )
    yield RecordMessage(GOAL_TOPIC, start, goal)
    yield RecordMessage(RESULT_TOPIC, start + _nanoseconds(trace.seconds), _result(record, header))
    yield RecordMessage(IMAGE_TOPIC, start, _png(record.image, header))
    if record.redaction != "none":
        yield RecordMessage(REDACTION_TOPIC, start, blank(ros.STRING, data=record.redaction))
    if record.camera_info is not None:
        yield RecordMessage(CAMERA_INFO_TOPIC, start, _camera_info(record.camera_info, header))
    for verdict in record.verdicts:
        yield from verdict_entries(verdict)
    now = start
    for turn in trace.turns:
        now += _nanoseconds(sum(reply.reply_seconds for reply in turn.replies) + turn.tool_seconds)
        yield RecordMessage(TRACE_TOPIC, now, _turn(turn, record, header))
    mask = answer_mask(trace)
    if mask is not None and trace.outcome is not Outcome.AMBIGUOUS:
        confidence = min(trace.confidences, default=0.0)
        image = _mask_image(mask, header)
        yield RecordMessage(
            MASK_TOPIC,
            start + _nanoseconds(trace.seconds),
            blank(
                ros.MASK,
                header=header,
                goal_id=record.goal_id,
                image=image,
                confidence=confidence,
                partial=trace.partial,
            ),
        )
    if record.depth is not None:
        yield RecordMessage(DEPTH_TOPIC, start, _image(record.depth.astype("<f4", copy=False), "32FC1", header))


def verdict_entries(verdict: Verdict) -> Iterator[RecordMessage]:
    """The messages of a verdict: itself, then its annotator and its instances."""
    header = blank("std_msgs/msg/Header", stamp=_time(verdict.stamp_ns))
    yield verdict_entry(verdict)
    if verdict.annotator:
        yield RecordMessage(ANNOTATOR_TOPIC, verdict.stamp_ns, blank(ros.STRING, data=verdict.annotator))
    for mask in verdict.instances:
        yield RecordMessage(INSTANCE_TOPIC, verdict.stamp_ns, _mask_image(mask, header))


def verdicts_of(messages: Iterable[tuple[str, Any]]) -> Iterator[Verdict]:
    """The verdicts among messages, given with their topics, each with what follows it.

    Raises:
        ValueError: One is from nobody that is known.
        RunFailed: BAD_IMAGE: a mask can't be read.
    """
    verdict: Verdict | None = None
    for topic, message in messages:
        if topic == VERDICT_TOPIC:
            if verdict is not None:
                yield verdict
            verdict = verdict_of(message)
        elif verdict is not None and topic == ANNOTATOR_TOPIC:
            verdict = replace(verdict, annotator=message.data)
        elif verdict is not None and topic == INSTANCE_TOPIC:
            verdict = replace(verdict, instances=(*verdict.instances, to_mask(message)))
    if verdict is not None:
        yield verdict


def verdict_entry(verdict: Verdict) -> RecordMessage:
    """The message of a verdict alone, as the node hears it."""
    stamp = _time(verdict.stamp_ns)
    message = blank(
        ros.VERDICT,
        stamp=stamp,
        goal_id=verdict.goal_id,
        source=VERDICT_SOURCES.index(verdict.source) + 1,
        accepted=verdict.accepted,
        absent=verdict.absent,
        note=verdict.note,
    )
    if verdict.mask is not None:
        message.corrected_mask = _mask_image(verdict.mask, blank("std_msgs/msg/Header", stamp=stamp))
    return RecordMessage(VERDICT_TOPIC, verdict.stamp_ns, message)


def record_of(messages: Sequence[tuple[str, Any]]) -> Record:
    """The record in the messages of a file, given with their topics.

    Raises:
        ValueError: What a record must have is missing, or does not go together.
        RunFailed: BAD_IMAGE: its image can't be read.
    """
    first = dict(reversed(messages))
    missing = [name for name in (RESULT_TOPIC, IMAGE_TOPIC) if name not in first]
    if missing:
        raise ValueError(f"there is no message on {' and '.join(missing)}")
    result, image = first[RESULT_TOPIC], first[IMAGE_TOPIC]
    trace = Trace.from_json(result.trace)
    depth, info = first.get(DEPTH_TOPIC), first.get(CAMERA_INFO_TOPIC)
    redaction = first[REDACTION_TOPIC].data if REDACTION_TOPIC in first else "none"
    if redaction not in REDACTIONS:
        raise ValueError(f"its image has the redaction {redaction!r}; this release knows {', '.join(REDACTIONS)}")
    return Record(
        goal_id=result.goal_id,
        stamp_ns=stamp_of(image.header.stamp),
        camera=result.camera,
        image=compressed_to_rgb(image),
        trace=trace,
        depth=None if depth is None else _exact_depth(depth),
        camera_info=None if info is None else camera_of(info),
        verdicts=tuple(verdicts_of(messages)),
        frame_id=image.header.frame_id,
        redaction=redaction,
    )


def _result(record: Record, header: Any) -> Any:
    trace = record.trace
    answers = [
        _instance(mask, confidence, header)
        for mask, confidence in zip(answer_masks(trace), trace.confidences, strict=False)
    ]
    ambiguous = trace.outcome is Outcome.AMBIGUOUS
    named = [
        _instance(mask, trace.confidence(number), header)
        for number, mask in ((number, trace.mask(number)) for number in trace.candidate_ids)
        if mask is not None
    ]
    replies = trace.replies
    kind = ros.typestore().types[ros.RESULT]
    return blank(
        ros.RESULT,
        header=header,
        goal_id=record.goal_id,
        instruction=trace.instruction,
        camera=record.camera,
        outcome=getattr(kind, "UNKNOWN" if trace.outcome is None else trace.outcome.name),
        error_code=int(trace.error_code),
        error_msg=trace.error_msg,
        partial=trace.partial,
        degraded=any(reply.degraded for reply in replies),
        instances=[] if ambiguous else answers,
        candidates=answers if ambiguous else named,
        question=trace.question,
        reason=trace.reason,
        turns=_count(len(trace.turns), 16),
        prompt_tokens=_count(sum(reply.prompt_tokens for reply in replies), 32),
        cached_tokens=_count(sum(reply.cached_tokens for reply in replies), 32),
        sampled_tokens=_count(sum(reply.sampled_tokens for reply in replies), 32),
        policy=trace.policy,
        segmenter=trace.segmenter,
        timings=blank(
            "rsagent_ros/msg/Timings",
            policy=sum(reply.reply_seconds for reply in replies),
            tools=sum(turn.tool_seconds for one in trace.all_attempts for turn in one.turns),
            total=trace.seconds,
        ),
        trace=trace.to_json(),
    )


def _turn(turn: Turn, record: Record, header: Any) -> Any:
    """One turn, but for its picture, which can be drawn again from the image."""
    message = blank(
        ros.TURN,
        header=header,
        goal_id=record.goal_id,
        instruction=record.trace.instruction,
        index=_count(turn.index, 16),
        reply=turn.reply,
        thought=turn.thought,
        tool=turn.tool,
        arguments="" if turn.arguments is None else json.dumps(turn.arguments),
        error_code=turn.error_code,
        error_msg=turn.error_msg,
        observation=turn.observation,
        view=_region(Box(*turn.view)),
        mask_id=_count(turn.mask_id, 16),
        score=turn.score,
        reply_seconds=turn.reply_seconds,
        tool_seconds=turn.tool_seconds,
        prompt_tokens=_count(turn.prompt_tokens, 32),
        cached_tokens=_count(turn.cached_tokens, 32),
        sampled_tokens=_count(turn.sampled_tokens, 32),
        record=msgspec.json.encode(turn).decode(),
    )
    if turn.mask is not None:
        mask = decode_rle(turn.mask)
        message.area, message.roi = area(mask), _region(bounding_box(mask))
    return message


def _instance(mask: Mask, confidence: float, header: Any) -> Any:
    return blank(
        "rsagent_ros/msg/Instance",
        mask=_mask_image(mask, header),
        roi=_region(bounding_box(mask)),
        area=area(mask),
        confidence=confidence,
        track_id=-1,
    )


def _camera_info(camera: PinholeCamera, header: Any) -> Any:
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return blank(
        ros.CAMERA_INFO,
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(k),
        r=np.eye(3).reshape(-1),
        p=np.array([*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]),
    )


def _png(rgb: NDArray[np.uint8], header: Any) -> Any:
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _FAST_PNG)
    if not done:
        raise ValueError(f"an image of {rgb.shape} can't be stored as PNG")
    return blank(ros.COMPRESSED_IMAGE, header=header, format="rgb8; png compressed bgr8", data=data.reshape(-1))


def _mask_image(mask: Mask, header: Any) -> Any:
    return _image(mask.astype(np.uint8) * np.uint8(255), "mono8", header)


def _image(pixels: NDArray[Any], encoding: str, header: Any) -> Any:
    height, width = pixels.shape[:2]
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    return blank(
        ros.IMAGE, header=header, height=height, width=width, encoding=encoding, step=data.size // height, data=data
    )


def _exact_depth(message: Any) -> NDArray[np.float32]:
    """Depth as it was written, to the bit, NaN included."""
    height, width = int(message.height), int(message.width)
    if message.encoding != "32FC1" or message.is_bigendian or message.data.size != height * width * 4:
        raise ValueError(f"depth is {message.encoding!r} of {message.data.size} bytes, not {width} x {height} 32FC1")
    return np.frombuffer(message.data.tobytes(), "<f4").reshape(height, width).astype(np.float32, copy=False)


def _region(box: Box | None) -> Any:
    """A box as whole pixels."""
    if box is None:
        return blank("sensor_msgs/msg/RegionOfInterest")
    x0, y0 = math.floor(box.x0), math.floor(box.y0)
    return blank(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=x0,
        y_offset=y0,
        width=math.ceil(box.x1) - x0,
        height=math.ceil(box.y1) - y0,
    )


def _time(nanoseconds: int) -> Any:
    sec, nanosec = divmod(nanoseconds, 1_000_000_000)
    return blank("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _count(number: int, bits: int) -> int:
    """A number as an unsigned field can carry it."""
    return min(max(number, 0), 2**bits - 1)
