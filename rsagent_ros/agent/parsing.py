"""The strict way from a reply's text to an action.

A reply is `<think>...</think>` and then ONE `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, with nothing
after it. Everything is checked before any state changes; a mistake is a `ReplyError` that the policy is told. `read`
takes a few slips for what they mean, and says so; `parse` takes none.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from rsagent_ros.agent.actions import (
    ALL_TOOLS,
    CALL_CLOSE,
    CALL_OPEN,
    CAUSES,
    MAX_MASKS,
    MAX_PHRASE,
    MAX_POINTS,
    MAX_SENTENCE,
    TOOLS,
    Action,
    Cause,
    Combine,
    Find,
    Finish,
    GiveUp,
    ReportAbsent,
    ReportAmbiguous,
    ResetView,
    Segment,
    ToolSet,
    Zoom,
)
from rsagent_ros.agent.errors import ReplyError
from rsagent_ros.agent.geometry import EXTENT, Box, Point
from rsagent_ros.agent.slips import SLIPS, Slip, Slips, is_in_fence, without_beginning_of, without_fence

MAX_REPLY_CHARS = 32_768
MAX_CALL_CHARS = 4_096


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """The one action of a reply, and the slips that were passed over to read it."""

    action: Action
    slips: tuple[Slip, ...] = ()


def parse(reply: str, extent: tuple[float, float] = (EXTENT, EXTENT), tools: ToolSet = ALL_TOOLS) -> Action:
    """The one action of a reply, which has no slips.

    Args:
        reply: The policy's text.
        extent: Width and height of the coordinate space of the reply's numbers; they are converted to 0..1000.
        tools: Names of the tools that there are.

    Raises:
        ReplyError: The reply is not exactly one valid call. The message says what to do instead.
    """
    return _action(reply, extent, tools, "", Slips(()))


def read(
    reply: str, extent: tuple[float, float], tools: ToolSet = ALL_TOOLS, *, ended: bool, box_name: str = ""
) -> ParsedReply:
    """The one action of a reply, which may have slips.

    Args:
        reply: The policy's text.
        extent: As in `parse`.
        tools: Names of the tools that there are.
        ended: The reply ended by itself: nothing of it is missing but, perhaps, its closing tag.
        box_name: Another name that a box may have; empty for none.

    Raises:
        ReplyError: As in `parse`.
    """
    slips = Slips([slip for slip in SLIPS if ended or slip != "unclosed_call"])
    action = _action(reply, extent, tools, box_name, slips)
    return ParsedReply(action, slips.found)


def _action(reply: str, extent: tuple[float, float], tools: ToolSet, box_name: str, slips: Slips) -> Action:
    name, arguments = _split(reply, tools, slips)
    call = _Call(name, _with_box(name, arguments, box_name, slips), extent, slips)
    match call.name:
        case "find":
            return Find(call.phrase("phrase"))
        case "segment":
            segment = Segment(
                call.box("box") if call.has("box") else None,
                call.points("positive") if call.has("positive") else (),
                call.points("negative") if call.has("negative") else (),
                call.mask("refine") if call.has("refine") else None,
            )
            if segment.box is None and not segment.positive and segment.refine is None:
                raise ReplyError(
                    "no_prompt",
                    "segment needs a box, a positive point, or a mask to refine.",
                )
            return segment
        case "zoom":
            return Zoom(call.box("box"))
        case "reset_view":
            return ResetView()
        case "combine":
            return Combine(
                call.masks("add"),
                call.masks("subtract") if call.has("subtract") else (),
            )
        case "finish":
            return Finish(call.masks("mask"))
        case "report_absent":
            return ReportAbsent(call.sentence("reason"))
        case "give_up":
            return GiveUp(
                call.sentence("reason"),
                call.cause("cause") if call.has("cause") else "unsure",
                call.masks("masks") if call.has("masks") else (),
            )
        case _:
            return ReportAmbiguous(call.masks("masks"), call.sentence("question"))


def thought(reply: str) -> str:
    """The part of a reply before its call, without the think tags."""
    return reply.split(CALL_OPEN, 1)[0].replace("<think>", "").replace("</think>", "").strip()


def _split(reply: str, tools: ToolSet, slips: Slips) -> tuple[str, dict[str, object]]:
    """Name and arguments of the one call in a reply, as parsed JSON."""
    if len(reply) > MAX_REPLY_CHARS:
        raise ReplyError(
            "too_long",
            f"The reply has {len(reply)} characters; at most {MAX_REPLY_CHARS} are read.",
        )
    calls = reply.count(CALL_OPEN)
    if calls == 0:
        raise ReplyError(
            "no_call",
            f"The reply has no tool call. End it with {CALL_OPEN}...{CALL_CLOSE}.",
        )
    if calls > 1 or reply.count(CALL_CLOSE) > 1:
        raise ReplyError("two_calls", "The reply has more than one tool call. Make exactly one.")
    before, _, call_text = reply.partition(CALL_OPEN)
    body, closing, rest = call_text.partition(CALL_CLOSE)
    cut_off = ReplyError(
        "unclosed_call",
        f"The tool call is cut off: {CALL_CLOSE} is missing. Think in fewer words.",
    )
    if not closing:
        if not slips.reads("unclosed_call"):
            raise cut_off
        body = without_beginning_of(CALL_CLOSE, body)
    if rest.strip() and not (is_in_fence(before, rest) and slips.reads("code_fence")):
        raise ReplyError("text_after_call", f"There is text after {CALL_CLOSE}. Stop right after it.")
    if (unfenced := without_fence(body)) is not None and slips.reads("code_fence"):
        body = unfenced
    if len(body) > MAX_CALL_CHARS:
        raise ReplyError(
            "call_too_long",
            f"The call has {len(body)} characters; at most {MAX_CALL_CHARS} are read.",
        )
    try:
        call = json.loads(body, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise ReplyError("bad_json", "The call is nested too deeply.") from None
    except ValueError as error:
        if not closing:
            raise cut_off from None
        raise ReplyError("bad_json", f"The call is not valid JSON: {_quote(str(error))}.") from None
    if not isinstance(call, dict) or set(call) - {"name", "arguments"} or "name" not in call:
        raise ReplyError(
            "bad_call",
            'The call must be {"name": ..., "arguments": {...}} and nothing else.',
        )
    name, arguments = call["name"], call.get("arguments", {})
    if not isinstance(name, str) or name not in tools:
        raise ReplyError(
            "unknown_tool",
            f"There is no tool {_quote(name)}. The tools: {', '.join(tools)}.",
        )
    if not isinstance(arguments, dict):
        raise ReplyError("bad_call", f"The arguments of {name} must be a JSON object.")
    return name, arguments


def _with_box(name: str, arguments: dict[str, object], box_name: str, slips: Slips) -> dict[str, object]:
    """The arguments, with a box under its name here."""
    if not box_name or box_name not in arguments or "box" in arguments or "box" not in TOOLS[name].arguments:
        return arguments
    if not slips.reads("box_name"):
        return arguments
    return {"box" if key == box_name else key: value for key, value in arguments.items()}


def _no_constant(name: str) -> float:
    raise ReplyError("not_a_number", f"{name} is not a number that can be used.")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    known: dict[str, object] = {}
    for key, value in pairs:
        if key in known:
            raise ReplyError("duplicate_key", f"{_quote(key)} is given twice in one object.")
        known[key] = value
    return known


def _quote(value: object) -> str:
    """A value from outside, short enough and plain enough to stand in a message."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


class _Call:
    """The arguments of one call, each read by what it should be."""

    def __init__(self, name: str, arguments: dict[str, object], extent: tuple[float, float], slips: Slips) -> None:
        spec = TOOLS[name].arguments
        for given in arguments:
            if given not in spec:
                known = ", ".join(spec) or "it takes none"
                raise ReplyError(
                    "extra_argument",
                    f"{name} has no argument {_quote(given)}. Its arguments: {known}.",
                )
        for wanted, argument in spec.items():
            if argument.required and wanted not in arguments:
                raise ReplyError("missing_argument", f"{name} needs {wanted}: {argument.meaning}.")
        self.name = name
        self._arguments = arguments
        self._extent = extent
        self._slips = slips

    def has(self, key: str) -> bool:
        return key in self._arguments

    def box(self, key: str) -> Box:
        value = self._arguments[key]
        if not isinstance(value, list) or len(value) != 4:
            raise ReplyError(
                "bad_box",
                f"{self.name}: {key} must be [x0, y0, x1, y1], not {_quote(value)}.",
            )
        x0, y0, x1, y1 = (self._coordinate(key, number, axis) for axis, number in zip("xyxy", value, strict=True))
        if x1 < x0 or y1 < y0:
            if not self._slips.reads("reversed_box"):
                raise ReplyError(
                    "reversed_box",
                    f"{self.name}: {key} {_quote(value)} is reversed; x0 < x1 and y0 < y1.",
                )
            (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
        if x1 == x0 or y1 == y0:
            raise ReplyError(
                "empty_box",
                f"{self.name}: {key} {_quote(value)} is empty; x0 < x1 and y0 < y1.",
            )
        return Box(x0, y0, x1, y1)

    def points(self, key: str) -> tuple[Point, ...]:
        value = self._arguments[key]
        if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            raise ReplyError(
                "bad_points",
                f"{self.name}: {key} must be [[x, y], ...], not {_quote(value)}.",
            )
        if len(value) > MAX_POINTS:
            raise ReplyError(
                "too_many",
                f"{self.name}: {key} has {len(value)} points; at most {MAX_POINTS} are read.",
            )
        return tuple(Point(self._coordinate(key, x, "x"), self._coordinate(key, y, "y")) for x, y in value)

    def mask(self, key: str) -> int:
        return self._mask_id(key, self._arguments[key])

    def masks(self, key: str) -> tuple[int, ...]:
        value = self._arguments[key]
        kind = TOOLS[self.name].arguments[key].kind
        at_least = 2 if kind == "two_or_more_masks" else 1
        ids = value if isinstance(value, list) else [value] if kind == "mask_or_masks" else None
        if ids is None or not at_least <= len(ids) <= MAX_MASKS:
            raise ReplyError(
                "bad_masks",
                f"{self.name}: {key} must be a list of {at_least} to {MAX_MASKS} mask ids, not {_quote(value)}.",
            )
        numbers = tuple(self._mask_id(key, number) for number in ids)
        if len(set(numbers)) < len(numbers):
            raise ReplyError(
                "duplicate_mask",
                f"{self.name}: {key} {_quote(value)} names a mask twice.",
            )
        return numbers

    def phrase(self, key: str) -> str:
        return self._text(key, "bad_phrase", "a noun phrase", MAX_PHRASE)

    def sentence(self, key: str) -> str:
        return self._text(key, "bad_sentence", "a sentence", MAX_SENTENCE)

    def _text(self, key: str, code: str, kind: str, limit: int) -> str:
        value = self._arguments[key]
        # JSON can name half a surrogate pair, which no message and no file can hold.
        if (
            not isinstance(value, str)
            or not value.strip()
            or len(value) > limit
            or any("\ud800" <= character <= "\udfff" for character in value)
        ):
            raise ReplyError(code, f"{self.name}: {key} must be {kind} of at most {limit} characters of plain text.")
        return value

    def cause(self, key: str) -> Cause:
        value = self._arguments[key]
        for cause in CAUSES:
            if value == cause:
                return cause
        raise ReplyError("bad_cause", f"{self.name}: {key} must be {' or '.join(CAUSES)}, not {_quote(value)}.")

    def _mask_id(self, key: str, value: object) -> int:
        if type(value) is not int or value < 1:
            raise ReplyError(
                "bad_mask",
                f"{self.name}: {key} must hold ids of masks (1, 2, ...), not {_quote(value)}.",
            )
        return value

    def _coordinate(self, key: str, value: object, axis: str) -> float:
        # type(), because bool is an int to isinstance.
        if type(value) not in (int, float):
            raise ReplyError(
                "not_a_number",
                f"{self.name}: {key} holds {_quote(value)} where a number must stand.",
            )
        limit = self._extent[0] if axis == "x" else self._extent[1]
        # json reads 1e999 as infinity; an integer of 400 digits can't become a float at all, so compare first.
        number = value if isinstance(value, int | float) else math.nan
        if not 0 <= number <= limit:
            raise ReplyError(
                "out_of_range",
                f"{self.name}: {key} holds {axis} = {_quote(value)}, outside the current view (0 to {limit:g}).",
            )
        return float(number) * EXTENT / limit
