"""One HTML page for one or more episodes: what was looked at, thought, called, and seen, turn by turn.

The page is one file: pictures are inside it, it opens from file://, needs no network, and shows everything without
its script (the script adds keys and toggles). All text goes through Jinja's autoescaping: instructions, thoughts and
reasons come from outside.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from rsagent_ros.agent.annotation import annotate, answer_annotations
from rsagent_ros.agent.geometry import EXTENT, View
from rsagent_ros.agent.mask import Mask, draw_overlay, fit, fitted
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.parsing import thought
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.agent.verification import Opinion, Verification
from rsagent_ros.agent.votes import in_words

RESULT_SIDE = 960
"""Longest side in pixels of the picture of the result."""

SMALL_SIDE = 240
"""Longest side in pixels of the frame where only the place of a view in it is shown."""

JPEG_QUALITY = 88

LOOK_SIDE = 384
"""Longer side in pixels of the crop of a second look."""

VERDICTS: dict[Opinion, str] = {"yes": "yes", "no": "no", "unreadable": "no opinion", "failed": "no opinion"}

TITLES = {
    Outcome.FOUND: "found",
    Outcome.NOT_IN_VIEW: "not in view",
    Outcome.AMBIGUOUS: "ambiguous",
    Outcome.GAVE_UP: "gave up",
    Outcome.CANCELED: "canceled",
    Outcome.PREEMPTED: "pre-empted",
    Outcome.SHUTDOWN: "shut down",
    Outcome.FAILED: "failed",
}


@dataclass(frozen=True, eq=False)
class Shown:
    """One episode to show.

    Attributes:
        trace: Complete or not.
        frame: (H, W, 3) uint8 RGB, the frame it was about.
        facts: More to say about it, by label, such as the IoU with a known truth.
    """

    trace: Trace
    frame: NDArray[np.uint8]
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Image:
    """A picture in the page, and how large it is in its own pixels."""

    url: str
    width: int
    height: int


def render(episodes: Sequence[Shown], title: str) -> str:
    """The page as text; write it as UTF-8."""
    environment = Environment(
        loader=PackageLoader("rsagent_ros.viewer", "assets"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("page.html")
    return page.render(title=title, episodes=[_episode(shown, number) for number, shown in enumerate(episodes, 1)])


def _episode(shown: Shown, number: int) -> dict[str, Any]:
    trace = shown.trace
    whole = View.whole(trace.width, trace.height)
    turns, view = [], whole
    for turn in trace.turns:
        looks = [_look(look, trace, shown.frame) for look in turn.second_looks]
        turns.append(_turn(turn, view, shown.frame) | {"looks": looks})
        view = View(*turn.view, frame_width=trace.width, frame_height=trace.height)
    answer = _answer(trace, shown.frame)
    if turns and trace.turns[-1].tool in ("finish", "report_ambiguous", "give_up"):
        turns[-1]["answer"] = answer
    return {
        "number": number,
        "trace": trace,
        "outcome": "running" if trace.outcome is None else TITLES[trace.outcome],
        "state": "running" if trace.outcome is None else trace.outcome.value,
        "facts": shown.facts | ({"Votes": in_words(trace)} if trace.votes else {}),
        "clean": _encode(fit(shown.frame, min(RESULT_SIDE, max(shown.frame.shape[:2])))),
        "small": _encode(fit(shown.frame, min(SMALL_SIDE, max(shown.frame.shape[:2])))),
        "result": answer,
        "turns": turns,
    }


def _answer(trace: Trace, frame: NDArray[np.uint8]) -> _Image | None:
    """The frame with what the episode ended with, as people draw it; None where that is no mask."""
    annotations = answer_annotations(trace)
    if not annotations:
        return None
    height, width = frame.shape[:2]
    return _encode(annotate(frame, annotations, *fitted(width, height, min(RESULT_SIDE, max(width, height)))))


def _turn(turn: Turn, before: View, frame: NDArray[np.uint8]) -> dict[str, Any]:
    """A turn for the template; `before` is the view the policy was in when it replied."""
    picture = turn.shown(frame, PictureFormat(RESULT_SIDE))
    after = View(*turn.view, frame_width=before.frame_width, frame_height=before.frame_height)
    image = None
    if picture is not None:
        image = _encode(picture.pixels)
    plain = None
    if picture is not None and picture.kind != "view":
        seen = after.crop(frame)
        plain = _encode(fit(seen, min(RESULT_SIDE, max(seen.shape[:2]))))
    crop = before.crop(frame)
    arguments = turn.arguments or {}
    return {
        "turn": turn,
        "looked_at": _encode(fit(crop, min(480, max(crop.shape[:2])))),
        "extent": EXTENT,
        "box": arguments.get("box"),
        "positive": arguments.get("positive", []),
        "negative": arguments.get("negative", []),
        "call": json.dumps(arguments, ensure_ascii=False) if turn.tool else "",
        "came_back": image,
        "unmasked": plain,
        "answer": None,
        "in_frame": None if before.key == (0, 0, before.frame_width, before.frame_height) else before,
    }


def _look(look: Verification, trace: Trace, frame: NDArray[np.uint8]) -> dict[str, Any]:
    """A second look for the template: the crop that it was shown, with the mask and without."""
    view = View(*look.view, frame_width=trace.width, frame_height=trace.height)
    crop, mask = fit(view.crop(frame), LOOK_SIDE), trace.mask(look.mask_id)
    return {
        "look": look,
        "said": VERDICTS[look.verdict],
        "thought": thought(look.reply),
        "clean": _encode(crop),
        "masked": None if mask is None else _spotlight(crop, view.crop(mask), LOOK_SIDE),
    }


def _spotlight(frame: NDArray[np.uint8], mask: Mask, side: int) -> _Image:
    height, width = frame.shape[:2]
    return _encode(draw_overlay(frame, mask, *fitted(width, height, min(side, max(height, width)))))


def _encode(pixels: NDArray[np.uint8]) -> _Image:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"an image of {pixels.shape} {pixels.dtype} can't be encoded as JPEG")
    url = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    return _Image(url, pixels.shape[1], pixels.shape[0])
