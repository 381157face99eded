"""Data of the page about goals: JSON values and pictures.

Text goes out as it was recorded; the page never makes markup of it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box, Point, View
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.label.click_masks import outline
from rsagent_ros.label.goal_row import GoalRow
from rsagent_ros.label.goal_store import OpenedGoal
from rsagent_ros.label.verdicts import mask_at_hand, not_acceptable, state_of
from rsagent_ros.records.record import Verdict, answer_masks, newest
from rsagent_ros.viewer.coordinates import numbers, points
from rsagent_ros.viewer.page import TITLES

JPEG_QUALITY = 92
TURN_SIDE = 768
"""Longest side in pixels of the picture of a turn."""


def row_json(row: GoalRow) -> dict[str, Any]:
    """A line of the list."""
    return {
        "record": row.key,
        "day": row.day,
        "time": row.time,
        "instruction": row.instruction,
        "outcome": row.outcome,
        "title": "" if row.outcome is None else TITLES[row.outcome],
        "state": row.state,
        "judged": row.judged,
        "problem": row.problem,
    }


def goal_json(key: str, opened: OpenedGoal) -> dict[str, Any]:
    """A goal with its answer, its turns and its verdicts; positions in pixels of the image."""
    record, trace = opened.record, opened.record.trace
    counts = newest(record.verdicts)
    view = View.whole(trace.width, trace.height)
    turns = []
    for number, turn in enumerate(trace.turns):
        turns.append(_turn_json(number, turn, view))
        view = View(*turn.view, frame_width=trace.width, frame_height=trace.height)
    return {
        "record": key,
        "goal_id": record.goal_id,
        "instruction": trace.instruction,
        "camera": record.camera,
        "when": _when(record.stamp_ns),
        "width": trace.width,
        "height": trace.height,
        "outcome": trace.outcome,
        "title": "unfinished" if trace.outcome is None else TITLES[trace.outcome],
        "partial": trace.partial,
        "said": trace.error_msg or trace.reason or trace.question,
        "confidences": list(trace.confidences),
        "policy": trace.policy,
        "segmenter": trace.segmenter,
        "seconds": trace.seconds,
        "answers": [outline(mask) for mask in answer_masks(trace)],
        "start": "" if (start := mask_at_hand(record)) is None else outline(start),
        "not_acceptable": not_acceptable(record),
        "turns": turns,
        "verdicts": [_verdict_json(verdict, verdict is counts) for verdict in record.verdicts],
        "complaints": list(opened.complaints),
    }


def frame_jpeg(image: NDArray[np.uint8]) -> bytes:
    """An (H, W, 3) RGB image in its own size."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"an image of {image.shape} can't be encoded as JPEG")
    return data.tobytes()


def turn_jpeg(trace: Trace, number: int, frame: NDArray[np.uint8]) -> bytes | None:
    """Picture of a turn, counted from 0; None where there was no picture or no such turn."""
    picture = None
    if 0 <= number < len(trace.turns):
        picture = trace.turns[number].shown(frame, PictureFormat(TURN_SIDE))
    if picture is None:
        return None
    return frame_jpeg(picture.pixels)


def _turn_json(number: int, turn: Turn, before: View) -> dict[str, Any]:
    arguments = turn.arguments or {}
    box = None
    if (corners := numbers(arguments.get("box"), 4)) is not None:
        around = before.box_to_frame(Box(*corners))
        box = [around.x0, around.y0, around.x1, around.y1]
    return {
        "number": number,
        "index": turn.index,
        "thought": turn.thought,
        "tool": turn.tool,
        "arguments": json.dumps(arguments, ensure_ascii=False) if arguments else "",
        "reply": "" if turn.tool else turn.reply,
        "error": f"{turn.error_code}: {turn.error_msg}" if turn.error_msg else "",
        "observation": turn.observation,
        "picture": turn.picture is not None,
        "box": box,
        "positive": _points(arguments.get("positive"), before),
        "negative": _points(arguments.get("negative"), before),
        "mask_id": turn.mask_id,
        "score": turn.score,
        "stability": turn.stability,
        "reply_seconds": turn.reply_seconds,
        "tool_seconds": turn.tool_seconds,
    }


def _points(value: object, view: View) -> list[list[float]]:
    placed = [view.to_frame(Point(*pair)) for pair in points(value)]
    return [[point.x, point.y] for point in placed]


def _verdict_json(verdict: Verdict, counts: bool) -> dict[str, Any]:
    return {
        "state": state_of(verdict),
        "source": verdict.source,
        "note": verdict.note,
        "annotator": verdict.annotator,
        "when": _when(verdict.stamp_ns),
        "counts": counts,
        "outlines": [] if verdict.mask is None else [outline(mask) for mask in verdict.instances or (verdict.mask,)],
    }


def _when(stamp_ns: int) -> str:
    return f"{datetime.fromtimestamp(stamp_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"
