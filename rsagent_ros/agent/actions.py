"""Actions of a policy: the closed set of tool calls.

The table `TOOLS` feeds the parser (`parsing`), the system prompt and the grammar (`grammar`), so they can't
disagree. An episode offers a set of them, which its record names: what the policy was trained with, and what the
segmenter can do. The paper does not print its tools; names and arguments are this project's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from rsagent_ros.agent.geometry import EXTENT, Box, Point

MAX_POINTS = 32
MAX_MASKS = 32
MAX_SENTENCE = 1_000
MAX_PHRASE = 200

CALL_OPEN = "<tool_call>"
CALL_CLOSE = "</tool_call>"


@dataclass(frozen=True, slots=True)
class Find:
    """Mark every instance of what a noun phrase names in the current view."""

    phrase: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Draw a mask from a box and points, 0..1000 of the current view; `refine` starts from an earlier mask."""

    box: Box | None = None
    positive: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    refine: int | None = None


@dataclass(frozen=True, slots=True)
class Zoom:
    """Look at a part of the current view."""

    box: Box


@dataclass(frozen=True, slots=True)
class ResetView:
    """Look at the whole frame again."""


@dataclass(frozen=True, slots=True)
class Combine:
    """A new mask: all of `add` together, without what is in `subtract`."""

    add: tuple[int, ...]
    subtract: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """End: these masks are what was asked for, one for each instance."""

    masks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReportAbsent:
    """End: what was asked for is not in view."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReportAmbiguous:
    """End: several things fit equally well; ask."""

    masks: tuple[int, ...]
    question: str


Cause = Literal["not_understood", "unsure"]
CAUSES: tuple[Cause, ...] = get_args(Cause)


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End: it can't be told. `masks` are those that could be meant, none of them checked to be."""

    reason: str
    cause: Cause = "unsure"
    masks: tuple[int, ...] = ()


Ending = Finish | ReportAbsent | ReportAmbiguous | GiveUp
Action = Find | Segment | Zoom | ResetView | Combine | Ending

ArgumentKind = Literal[
    "box", "points", "mask", "masks", "two_or_more_masks", "mask_or_masks", "phrase", "sentence", "cause"
]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a tool: its kind, and whether a call may leave it out."""

    kind: ArgumentKind
    required: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: what it is for, its arguments by name, and the names of which a call must have at least one."""

    meaning: str
    arguments: dict[str, Argument]
    one_of: tuple[str, ...] = ()


TOOLS: dict[str, Tool] = {
    "find": Tool(
        "Mark every instance of what a noun phrase names in the current view. The picture comes back with a line "
        "around each, and the id of its mask beside it.",
        {"phrase": Argument("phrase", True, "what it is, not where it is: a red mug")},
    ),
    "segment": Tool(
        "Draw a mask in the current view from a box, points, or both. The overlay of the new mask comes back.",
        {
            "box": Argument("box", False, "a box around the thing"),
            "positive": Argument("points", False, "points on the thing"),
            "negative": Argument("points", False, "points that are not on the thing"),
            "refine": Argument("mask", False, "id of an earlier mask to start from"),
        },
        one_of=("box", "positive", "refine"),
    ),
    "zoom": Tool(
        "Look closer at a part of the current view. The clean picture of it comes back, and coordinates are its own.",
        {"box": Argument("box", True, "the part to look at")},
    ),
    "reset_view": Tool("Look at the whole image again.", {}),
    "combine": Tool(
        "Make a new mask out of earlier ones. Its overlay comes back.",
        {
            "add": Argument("masks", True, "ids of the masks to join"),
            "subtract": Argument("masks", False, "ids of the masks to cut away"),
        },
    ),
    "finish": Tool(
        "End with the mask that shows what was asked for. Only after you have looked at its overlay.",
        {
            "mask": Argument(
                "mask_or_masks",
                True,
                "id of the mask; a list of ids if several things were asked for",
            )
        },
    ),
    "report_absent": Tool(
        "End: what was asked for is not in the image.",
        {"reason": Argument("sentence", True, "what you looked at and why it does not fit")},
    ),
    "report_ambiguous": Tool(
        "End: several things fit the words equally well.",
        {
            "masks": Argument("two_or_more_masks", True, "ids of at least two masks, one for each thing that fits"),
            "question": Argument("sentence", True, "what to ask, so that the answer decides"),
        },
    ),
    "give_up": Tool(
        "End: you can't tell. Rather this than a guess; a person can be asked.",
        {
            "reason": Argument("sentence", True, "what you do not know or can't see"),
            "cause": Argument("cause", False, f"{' or '.join(CAUSES)}: do you not know what is meant, or which it is"),
            "masks": Argument("masks", False, "ids of the masks that could be meant"),
        },
    ),
}

ToolSet = tuple[str, ...]
"""Names of tools, in the order of `TOOLS`."""

ALL_TOOLS: ToolSet = tuple(TOOLS)

FIRST_TOOLS: ToolSet = (
    "segment", "zoom", "reset_view", "combine", "finish", "report_absent", "report_ambiguous",
)  # fmt: skip
"""The tools of release 0.1.0: what its records and the policies that it trained know."""


def tool_set(names: Iterable[str]) -> ToolSet:
    """The tools of these names, in the order of `TOOLS`, which is that of the prompt.

    Raises:
        ValueError: There is no such tool, or none that ends an episode.
    """
    given = set(names)
    if unknown := given - set(TOOLS):
        raise ValueError(f"there is no tool {min(unknown)!r}; the tools: {', '.join(TOOLS)}")
    if "finish" not in given:
        raise ValueError(f"the tools {', '.join(sorted(given))} do not end an episode; add finish")
    return tuple(name for name in TOOLS if name in given)


def render(action: Action, extent: tuple[float, float] = (EXTENT, EXTENT)) -> str:
    """The call of an action as a policy would write it: `parse` with the same extent gives it back.

    Args:
        action: Its coordinates are written rounded to a thousandth of a unit.
        extent: Width and height of the coordinate space to write in.
    """
    name, arguments = to_json(_scaled(action, extent[0] / EXTENT, extent[1] / EXTENT))
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    # Only a sentence can hold "<"; as an escape it can't be taken for the end of the call.
    return CALL_OPEN + call.replace("<", "\\u003c") + CALL_CLOSE


def to_json(action: Action) -> tuple[str, dict[str, object]]:
    """Name and arguments of an action; arguments at their defaults are left out."""
    match action:
        case Find(phrase):
            return "find", {"phrase": phrase}
        case Segment(box, positive, negative, refine):
            arguments: dict[str, object] = {}
            if box is not None:
                arguments["box"] = _box_json(box)
            if positive:
                arguments["positive"] = [[_number(point.x), _number(point.y)] for point in positive]
            if negative:
                arguments["negative"] = [[_number(point.x), _number(point.y)] for point in negative]
            if refine is not None:
                arguments["refine"] = refine
            return "segment", arguments
        case Zoom(box):
            return "zoom", {"box": _box_json(box)}
        case ResetView():
            return "reset_view", {}
        case Combine(add, ()):
            return "combine", {"add": list(add)}
        case Combine(add, subtract):
            return "combine", {"add": list(add), "subtract": list(subtract)}
        case Finish(masks):
            return "finish", {"mask": masks[0] if len(masks) == 1 else list(masks)}
        case ReportAbsent(reason):
            return "report_absent", {"reason": reason}
        case ReportAmbiguous(masks, question):
            return "report_ambiguous", {"masks": list(masks), "question": question}
        case GiveUp(reason, cause, masks):
            arguments = {"reason": reason}
            if cause != "unsure":
                arguments["cause"] = cause
            if masks:
                arguments["masks"] = list(masks)
            return "give_up", arguments


def _scaled(action: Action, x: float, y: float) -> Action:
    """The action with its coordinates in another unit."""

    def points(given: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple(Point(point.x * x, point.y * y) for point in given)

    def box(given: Box) -> Box:
        return Box(given.x0 * x, given.y0 * y, given.x1 * x, given.y1 * y)

    match action:
        case Segment(given, positive, negative, refine):
            return Segment(None if given is None else box(given), points(positive), points(negative), refine)
        case Zoom(given):
            return Zoom(box(given))
    return action


def _box_json(box: Box) -> list[float]:
    return [_number(box.x0), _number(box.y0), _number(box.x1), _number(box.y1)]


def _number(value: float) -> float:
    """Whole numbers as integers, the rest to a thousandth of a step: text stays short, and exact enough."""
    rounded = round(value, 3)
    return int(rounded) if rounded == int(rounded) else rounded
