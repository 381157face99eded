"""Playback of a tracked goal: frames with their masks, to be looked through with a slider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.annotation import Annotation
from rsagent_ros.agent.mask import Mask
from rsagent_ros.viewer.images import annotated

SIDE = 640
"""Longest side in pixels of a frame in the page."""


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame of a tracked goal.

    Attributes:
        seconds: Since the frame that the goal was answered on.
        frame: (H, W, 3) uint8 RGB.
        mask: (H, W) bool; None where the object was lost.
        note: What else is known about it, such as the IoU with a known truth.
    """

    seconds: float
    frame: NDArray[np.uint8]
    mask: Mask | None
    note: str = ""


def playback(frames: Sequence[TrackedFrame]) -> list[dict[str, Any]]:
    """The frames for the template, in the order of time."""
    return [
        {
            "image": annotated(one.frame, [] if one.mask is None else [Annotation(one.mask)], SIDE),
            "caption": f"{one.seconds:.1f} s later: " + ", ".join(filter(None, (_state(one), one.note))),
        }
        for one in sorted(frames, key=lambda one: one.seconds)
    ]


def _state(one: TrackedFrame) -> str:
    return "lost" if one.mask is None else ("" if one.note else "tracked")
