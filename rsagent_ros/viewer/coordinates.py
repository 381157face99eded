"""Coordinates of a call, read from a trace: in thousandths of the view, and in pixels of the frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rsagent_ros.agent.geometry import Box, Point, View


@dataclass(frozen=True)
class Coordinates:
    """Box and points that a call pointed at.

    Attributes:
        box: x0, y0, x1, y1 in thousandths of the view; None for none.
        positive, negative: Points in thousandths of the view; x, y.
        places: Each of them in words: what it is, in thousandths of the view, in pixels of the frame.
    """

    box: list[float] | None
    positive: list[list[float]]
    negative: list[list[float]]
    places: list[tuple[str, str, str]]


def coordinates(arguments: dict[str, Any] | None, view: View) -> Coordinates:
    """Coordinates in the arguments of a call that was made in this view."""
    arguments = arguments or {}
    box = numbers(arguments.get("box"), 4)
    found = Coordinates(box, points(arguments.get("positive")), points(arguments.get("negative")), [])
    if box is not None:
        around = view.box_to_frame(Box(*box))
        found.places.append(("box", _span(*box), _span(around.x0, around.y0, around.x1, around.y1)))
    for name, pairs in (("positive", found.positive), ("negative", found.negative)):
        if pairs:
            placed = [view.to_frame(Point(x, y)) for x, y in pairs]
            pixels = "; ".join(f"{point.x:.0f}, {point.y:.0f}" for point in placed)
            found.places.append((name, "; ".join(f"{x:.0f}, {y:.0f}" for x, y in pairs), pixels))
    return found


def points(value: object) -> list[list[float]]:
    """The pairs of numbers in a list; empty for anything else."""
    pairs = [numbers(pair, 2) for pair in value] if isinstance(value, list) else []
    return [pair for pair in pairs if pair is not None]


def numbers(value: object, count: int) -> list[float] | None:
    """So many numbers; None for anything else. A file may hold any arguments, whatever the agent would write."""
    if isinstance(value, list) and len(value) == count and all(type(one) in (int, float) for one in value):
        return value
    return None


def _span(x0: float, y0: float, x1: float, y1: float) -> str:
    return f"{x0:.0f}, {y0:.0f} to {x1:.0f}, {y1:.0f}"
