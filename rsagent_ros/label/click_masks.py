"""Masks by clicks: a person's points and box become a mask of the goal's image, by the agent's segmenter."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.actions import MAX_POINTS, Segment
from rsagent_ros.agent.evidence import MaskEntry, entry_of
from rsagent_ros.agent.geometry import Box, Point, View
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.toolbox import Toolbox

KEPT = 4
"""Images that stay encoded; the oldest is forgotten first."""


@dataclass(frozen=True)
class Clicks:
    """Points and box that a person set, in pixels of the image.

    Attributes:
        positive, negative: Points on the thing, and points that are not on it; x, y.
        box: Around it; x0, y0, x1, y1.
        refine: Start from a mask that is there: the answer, or an earlier correction.
    """

    positive: tuple[tuple[float, float], ...] = ()
    negative: tuple[tuple[float, float], ...] = ()
    box: tuple[float, float, float, float] | None = None
    refine: bool = False


class ClickSegmenter:
    """Draws masks with one segmenter, one at a time, with the very tool that the agent uses. Thread-safe."""

    def __init__(self, segmenter: Segmenter[Any]) -> None:
        self._segmenter = segmenter
        self._toolboxes: OrderedDict[str, Toolbox] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the segmenter."""
        return self._segmenter.name

    def draw(self, key: str, image: NDArray[np.uint8], start: Mask | None, clicks: Clicks) -> MaskEntry:
        """A mask for the clicks.

        Blocks until the segmenter is free and has drawn; an image that is new to it is encoded first.

        Args:
            key: Of the image.
            image: (H, W, 3) uint8 RGB.
            start: (H, W) bool, the mask to refine; None where there is none.
            clicks: Where the thing is.

        Raises:
            ValueError: The clicks are not in the image, or there are none.
            ToolFailed: Nothing can be drawn there.
            RunFailed: The segmenter can't go on. It may raise anything else, too.
        """
        view = View.whole(image.shape[1], image.shape[0])
        action = _segment(clicks, view, start)
        base = None
        if clicks.refine and start is not None:
            base = entry_of(1, start, view, score=1.0, stability=1.0)
        with self._lock:
            toolbox = self._toolboxes.get(key) or Toolbox(image, self._segmenter, DEFAULT_PICTURES)
            self._toolboxes[key] = toolbox
            self._toolboxes.move_to_end(key)
            while len(self._toolboxes) > KEPT:
                self._toolboxes.popitem(last=False)
            entry = toolbox.run(action, view, [] if base is None else [base]).entry
        if entry is None:
            raise RuntimeError("the tool segment came back without a mask")
        return entry


def outline(mask: Mask) -> str:
    """The edge of a mask as the data of an SVG path, in pixels of the image; holes are inner rings (evenodd)."""
    contours, _ = cv2.findContours(np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    # OpenCV names pixels by their index; their centres lie half a pixel further.
    rings = [" ".join(f"{x + 0.5:g},{y + 0.5:g}" for x, y in contour[:, 0].tolist()) for contour in contours]
    return "".join(f"M{ring}Z" for ring in rings)


def _segment(clicks: Clicks, view: View, start: Mask | None) -> Segment:
    """The clicks as a call of the agent's tool: 0..1000 of the whole view."""
    if not (clicks.positive or clicks.box or (clicks.refine and clicks.negative)):
        raise ValueError("click on the thing first, or drag a box around it")
    if len(clicks.positive) + len(clicks.negative) > MAX_POINTS:
        raise ValueError(f"a mask takes at most {MAX_POINTS} clicks; begin anew with a box")
    if clicks.refine and start is None:
        raise ValueError("this goal was answered without a mask: there is nothing to start from")
    corners = () if clicks.box is None else (clicks.box[:2], clicks.box[2:])
    for x, y in (*clicks.positive, *clicks.negative, *corners):
        if not (math.isfinite(x) and math.isfinite(y) and 0 <= x <= view.width and 0 <= y <= view.height):
            raise ValueError(f"the point {x:g}, {y:g} is not in the image of {view.width} x {view.height} pixels")
    box = None
    if clicks.box is not None:
        box = Box(*clicks.box)
        if box.width < 1 or box.height < 1:
            raise ValueError("the box is less than a pixel wide or high")
    return Segment(
        None if box is None else view.box_to_view(box),
        tuple(view.to_view(Point(x, y)) for x, y in clicks.positive),
        tuple(view.to_view(Point(x, y)) for x, y in clicks.negative),
        refine=1 if clicks.refine else None,
    )
