"""One HTML page for one or more episodes: what was looked at, thought, called, and seen, turn by turn.

The page is one file: pictures are inside it, it opens from file://, needs no network, and shows everything without
its script (the script adds keys, zoom and playback). Of many goals each is a line until it is opened. All text goes
through Jinja's autoescaping: instructions, thoughts and reasons come from outside.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from rsagent_ros.agent.annotation import answer_annotations
from rsagent_ros.agent.geometry import EXTENT, View
from rsagent_ros.agent.mask import fit
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.parsing import thought
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.agent.verification import Opinion, Verification
from rsagent_ros.agent.votes import in_words
from rsagent_ros.viewer.coordinates import coordinates
from rsagent_ros.viewer.images import PageImage, annotated, close_up, encoded, reduced, spotlight
from rsagent_ros.viewer.playback import TrackedFrame, playback

RESULT_SIDE = 960
"""Longest side in pixels of the picture of the result."""

SMALL_SIDE = 240
"""Longest side in pixels of the frame where only the place of a view in it is shown, and of thumbnails."""

SEEN_SIDE = 640
"""Longest side in pixels of what the policy looked at."""

CROP_SIDE = 384
"""Longer side in pixels of the crop of a second look."""

VERDICTS: dict[Opinion, str] = {
    "yes": "yes",
    "no": "no",
    "either": "either",
    "unreadable": "no opinion",
    "failed": "no opinion",
}

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
        right: Whether the answer is the right one; None where nobody knows.
        track: The object on later frames, if it was tracked.
    """

    trace: Trace
    frame: NDArray[np.uint8]
    facts: dict[str, str] = field(default_factory=dict)
    right: bool | None = None
    track: tuple[TrackedFrame, ...] = ()


def render(episodes: Sequence[Shown], title: str) -> str:
    """The page as text; write it as UTF-8."""
    environment = Environment(
        loader=PackageLoader("rsagent_ros.viewer", "assets"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("page.html")
    drawn = [_episode(shown, number) for number, shown in enumerate(episodes, 1)]
    judged = [shown.right for shown in episodes if shown.right is not None]
    return page.render(
        title=title,
        episodes=drawn,
        ends=Counter((episode["state"], episode["outcome"]) for episode in drawn).most_common(),
        right=sum(judged),
        wrong=len(judged) - sum(judged),
    )


def _episode(shown: Shown, number: int) -> dict[str, Any]:
    trace = shown.trace
    whole = View.whole(trace.width, trace.height)
    turns, view = [], whole
    for turn in trace.turns:
        verifications = [_verification(one, trace, shown.frame) for one in turn.second_looks]
        turns.append(_turn(turn, view, shown.frame) | {"verifications": verifications})
        view = View(*turn.view, frame_width=trace.width, frame_height=trace.height)
    answer = _answer(trace, shown.frame)
    if turns and trace.turns[-1].tool in ("finish", "report_ambiguous", "give_up"):
        turns[-1]["answer"] = answer
    small = reduced(shown.frame, SMALL_SIDE)
    thumb = small if answer is None else close_up(shown.frame, answer_annotations(trace), SMALL_SIDE)
    if turns and turns[-1]["answer"] is not None:
        turns[-1]["thumb"] = thumb
    return {
        "number": number,
        "trace": trace,
        "outcome": "running" if trace.outcome is None else TITLES[trace.outcome],
        "state": "running" if trace.outcome is None else trace.outcome.value,
        "right": shown.right,
        "facts": shown.facts | ({"Votes": in_words(trace)} if trace.votes else {}),
        "clean": reduced(shown.frame, RESULT_SIDE),
        "small": small,
        "thumb": thumb,
        "result": answer,
        "turns": turns,
        "track": playback(shown.track),
    }


def _answer(trace: Trace, frame: NDArray[np.uint8]) -> PageImage | None:
    """The frame with what the episode ended with, as people draw it; None where that is no mask."""
    annotations = answer_annotations(trace)
    return annotated(frame, annotations, RESULT_SIDE) if annotations else None


def _turn(turn: Turn, before: View, frame: NDArray[np.uint8]) -> dict[str, Any]:
    """A turn for the template; `before` is the view the policy was in when it replied."""
    picture = turn.shown(frame, PictureFormat(RESULT_SIDE))
    after = View(*turn.view, frame_width=before.frame_width, frame_height=before.frame_height)
    crop = before.crop(frame)
    return {
        "turn": turn,
        "seen": reduced(crop, SEEN_SIDE),
        "thumb": reduced(crop if picture is None else picture.pixels, SMALL_SIDE),
        "extent": EXTENT,
        "at": coordinates(turn.arguments, before),
        "call": json.dumps(turn.arguments or {}, ensure_ascii=False) if turn.tool else "",
        "came_back": None if picture is None else encoded(picture.pixels),
        "unmasked": None if picture is None or picture.kind == "view" else reduced(after.crop(frame), RESULT_SIDE),
        "answer": None,
        "in_frame": None if before.key == (0, 0, before.frame_width, before.frame_height) else before,
    }


def _verification(verification: Verification, trace: Trace, frame: NDArray[np.uint8]) -> dict[str, Any]:
    """A second look for the template: the crop that it was shown, with the mask and without."""
    view = View(*verification.view, frame_width=trace.width, frame_height=trace.height)
    crop, mask = fit(view.crop(frame), CROP_SIDE), trace.mask(verification.mask_id)
    return {
        "verification": verification,
        "verdict": VERDICTS[verification.verdict],
        "thought": thought(verification.reply),
        "clean": encoded(crop),
        "masked": None if mask is None else spotlight(crop, view.crop(mask), CROP_SIDE),
    }
