"""Boxes and points for the chat: where things are in the current view, and where they are not.

All that comes in is in full-frame pixels; all that goes out is in the unit of the chat, whole numbers, as `parse` reads
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsagent_ros.agent.chat import PictureKind
from rsagent_ros.agent.geometry import EXTENT, Box, Point, View
from rsagent_ros.agent.pictures import PictureFormat


@dataclass(frozen=True)
class Pointer:
    """Points at places in a view, in the unit of a policy's pictures.

    Attributes:
        view: What is looked at.
        pictures: The format of the chat.
        newest: The kind of picture of the view that was shown last.
    """

    view: View
    pictures: PictureFormat
    newest: PictureKind = "view"

    def box(self, box: Box) -> Box:
        """A box in whole numbers of the chat, grown outwards and cut to the view; at least one unit each way."""
        across, down = self._extent
        seen = self.view.box_to_view(box)
        x0, x1 = _outwards(seen.x0 / EXTENT * across, seen.x1 / EXTENT * across, across)
        y0, y1 = _outwards(seen.y0 / EXTENT * down, seen.y1 / EXTENT * down, down)
        return Box(x0, y0, x1, y1)

    def point(self, point: Point) -> Point:
        """A point in whole numbers of the chat, cut to the view."""
        across, down = self._extent
        seen = self.view.to_view(point)
        return Point(
            float(np.clip(round(seen.x / EXTENT * across), 0, across)),
            float(np.clip(round(seen.y / EXTENT * down), 0, down)),
        )

    def shows(self, box: Box) -> bool:
        """Whether the view shows all of a box, or at least all but a rim."""
        view = self.view
        seen = box.intersection(Box(view.x0, view.y0, view.x1, view.y1))
        return seen.area >= 0.98 * box.area

    @property
    def _extent(self) -> tuple[float, float]:
        return self.pictures.extent(self.view.width, self.view.height, self.newest)


def words(box: Box) -> str:
    """A box of the chat as a thought writes it."""
    return f"[{box.x0:.0f}, {box.y0:.0f}, {box.x1:.0f}, {box.y1:.0f}]"


def spot_words(point: Point) -> str:
    """A point of the chat as a thought writes it."""
    return f"[{point.x:.0f}, {point.y:.0f}]"


def around(box: Box, margin: float, width: int, height: int) -> Box:
    """A box widened by a share of its longer side, inside a frame of this size in pixels."""
    more = margin * max(box.width, box.height)
    return Box(
        max(0.0, box.x0 - more),
        max(0.0, box.y0 - more),
        min(float(width), box.x1 + more),
        min(float(height), box.y1 + more),
    )


def _outwards(low: float, high: float, limit: float) -> tuple[float, float]:
    first = float(np.clip(np.floor(low + 1e-6), 0, limit - 1))
    return first, float(np.clip(np.ceil(high - 1e-6), first + 1, limit))
