"""Parsing: one valid call comes back as its action, everything else as a ReplyError that says what is wrong."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import actions, thousandths, whole_numbers

from rsagent_ros.agent.actions import (
    MAX_MASKS,
    MAX_POINTS,
    MAX_SENTENCE,
    TOOLS,
    Action,
    Combine,
    Finish,
    ReportAbsent,
    ReportAmbiguous,
    ResetView,
    Segment,
    Zoom,
    render,
    to_json,
)
from rsagent_ros.agent.errors import ReplyError
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.parsing import MAX_CALL_CHARS, MAX_REPLY_CHARS, parse, thought


def call(name: object, arguments: object) -> str:
    """A reply around any JSON."""
    return f"<think>So.</think><tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def raw(body: str) -> str:
    return f"<think>So.</think><tool_call>{body}</tool_call>"


def zoom(numbers: str) -> str:
    return raw(f'{{"name": "zoom", "arguments": {{"box": {numbers}}}}}')


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        (call("segment", {"box": [1, 2, 3, 4]}), Segment(Box(1, 2, 3, 4))),
        (call("segment", {"positive": [[0, 1000]]}), Segment(positive=(Point(0, 1000),))),
        (call("segment", {"refine": 3}), Segment(refine=3)),
        (
            call("segment", {"refine": 1, "negative": [[5, 6], [7, 8]], "box": [0, 0, 1000, 1000]}),
            Segment(Box(0, 0, 1000, 1000), negative=(Point(5, 6), Point(7, 8)), refine=1),
        ),
        (call("segment", {"box": [0.5, 1.25, 3e2, 4]}), Segment(Box(0.5, 1.25, 300, 4))),
        (call("zoom", {"box": [0, 0, 1, 1]}), Zoom(Box(0, 0, 1, 1))),
        (call("reset_view", {}), ResetView()),
        (raw('{"name": "reset_view"}'), ResetView()),
        (raw(' \n{"name":"reset_view","arguments":{}}\n'), ResetView()),
        (call("combine", {"add": [1]}), Combine((1,))),
        (call("combine", {"add": [1, 2], "subtract": [3]}), Combine((1, 2), (3,))),
        (call("finish", {"mask": 2}), Finish((2,))),
        (call("finish", {"mask": [2, 1]}), Finish((2, 1))),
        (call("report_absent", {"reason": "There is no mug."}), ReportAbsent("There is no mug.")),
        (call("report_ambiguous", {"masks": [1, 2], "question": "Which?"}), ReportAmbiguous((1, 2), "Which?")),
        ('<tool_call>{"name": "reset_view"}</tool_call> \n', ResetView()),
        ("No tags: I think.<tool_call>" + '{"name": "reset_view"}' + "</tool_call>", ResetView()),
    ],
)
def test_valid_calls(reply: str, action: Action) -> None:
    assert parse(reply) == action


MISTAKES = [
    # (reply, code, part of the message)
    ("", "no_call", "has no tool call"),
    ("<think>I see a mug.</think>", "no_call", "End it with <tool_call>"),
    ("\0\0\0", "no_call", "has no tool call"),
    ("\ud800", "no_call", "has no tool call"),
    ("x" * 10_000_000, "too_long", "10000000 characters; at most 32768"),
    ("x" * 10_000_000 + call("reset_view", {}), "too_long", "at most 32768"),
    ("x" * (MAX_REPLY_CHARS + 1), "too_long", "32769 characters"),
    (call("reset_view", {}) * 2, "two_calls", "more than one"),
    (call("reset_view", {}) + "<tool_call>", "two_calls", "more than one"),
    (call("reset_view", {}) + "</tool_call>", "two_calls", "more than one"),
    (call("reset_view", {}) + " Done.", "text_after_call", "Stop right after it"),
    (call("reset_view", {}) + "\0", "text_after_call", "Stop right after it"),
    (call("reset_view", {}).removesuffix("</tool_call>"), "unclosed_call", "</tool_call> is missing"),
    ('<tool_call>{"name": "segm', "unclosed_call", "cut off"),
    ('</tool_call><tool_call>{"name": "reset_view"}', "unclosed_call", "is missing"),
    (
        raw('{"name": "report_absent", "arguments": {"reason": "' + "x" * MAX_CALL_CHARS + '"}}'),
        "call_too_long",
        "4096",
    ),
    (raw(""), "bad_json", "not valid JSON"),
    (raw('{"name": "reset_view"'), "bad_json", "not valid JSON"),
    (raw("{'name': 'reset_view'}"), "bad_json", "not valid JSON"),
    (raw('{"name": "reset_view"} {"name": "reset_view"}'), "bad_json", "Extra data"),
    (raw('{"name": "reset_view\0"}'), "bad_json", "control character"),
    (raw('{"name": "reset_view", "arguments": {"a": 1e}}'), "bad_json", "not valid JSON"),
    (raw('{"name":' * 100 + "1" + "}" * 100), "unknown_tool", "no tool"),
    (raw("[]"), "bad_call", '{"name": ..., "arguments": {...}}'),
    (raw("null"), "bad_call", "must be"),
    (raw('"reset_view"'), "bad_call", "must be"),
    (raw("{}"), "bad_call", "must be"),
    (raw('{"arguments": {}}'), "bad_call", "must be"),
    (raw('{"name": "reset_view", "arguments": {}, "id": 1}'), "bad_call", "nothing else"),
    (raw('{"name": "reset_view", "name": "reset_view"}'), "duplicate_key", '"name" is given twice'),
    (zoom('[0, 0, 1, 1], "box": [0, 0, 2, 2]'), "duplicate_key", '"box" is given twice'),
    (call("reset_view", None), "bad_call", "arguments of reset_view must be a JSON object"),
    (call("reset_view", []), "bad_call", "must be a JSON object"),
    (call("click", {}), "unknown_tool", 'no tool "click". The tools: find, segment, zoom'),
    (call("Segment", {}), "unknown_tool", "no tool"),
    (call(None, {}), "unknown_tool", "no tool null"),
    (call(["segment"], {}), "unknown_tool", "no tool"),
    (call({"a": 1}, {}), "unknown_tool", "no tool"),
    (call("x" * 500, {}), "unknown_tool", "..."),
    (call("\ud800", {}), "unknown_tool", "ud800"),
    (call("zoom", {}), "missing_argument", "zoom needs box: the part to look at"),
    (call("combine", {"subtract": [1]}), "missing_argument", "combine needs add"),
    (call("report_ambiguous", {"masks": [1, 2]}), "missing_argument", "needs question"),
    (call("reset_view", {"box": [0, 0, 1, 1]}), "extra_argument", "it takes none"),
    (call("zoom", {"box": [0, 0, 1, 1], "scale": 2}), "extra_argument", 'no argument "scale". Its arguments: box'),
    (call("segment", {}), "no_prompt", "needs a box, a positive point, or a mask"),
    (call("segment", {"negative": [[1, 1]]}), "no_prompt", "needs a box"),
    (call("segment", {"positive": []}), "no_prompt", "needs a box"),
    (zoom("[0, 0, NaN, 1]"), "not_a_number", "NaN is not a number that can be used"),
    (zoom("[0, 0, Infinity, 1]"), "not_a_number", "Infinity"),
    (zoom("[-Infinity, 0, 1, 1]"), "not_a_number", "-Infinity"),
    (zoom("[0, 0, 1e999, 1]"), "out_of_range", "outside the current view (0 to 1000)"),
    (zoom("[0, 0, -1e999, 1]"), "out_of_range", "outside the current view"),
    (zoom(f"[0, 0, {'9' * 400}, 1]"), "out_of_range", "x = 9999"),
    (zoom(f"[0, 0, -{'9' * 400}, 1]"), "out_of_range", "x = -9999"),
    (zoom("[0, 0, 1001, 1]"), "out_of_range", "x = 1001, outside the current view (0 to 1000)"),
    (zoom("[0, -1, 1, 1]"), "out_of_range", "y = -1"),
    (zoom("[0, 0, 1000.0001, 1]"), "out_of_range", "outside"),
    (zoom("[true, 0, 1, 1]"), "not_a_number", "true where a number must stand"),
    (zoom('["0", 0, 1, 1]'), "not_a_number", '"0" where a number must stand'),
    (zoom("[null, 0, 1, 1]"), "not_a_number", "null"),
    (zoom("[[0], 0, 1, 1]"), "not_a_number", "[0]"),
    (zoom("[5, 0, 4, 1]"), "reversed_box", "[5, 0, 4, 1] is reversed; x0 < x1"),
    (zoom("[0, 5, 1, 4]"), "reversed_box", "is reversed"),
    (zoom("[5, 0, 5, 1]"), "empty_box", "is empty"),
    (zoom("[0, 7, 5, 7]"), "empty_box", "is empty"),
    (zoom("[0, 0, 1]"), "bad_box", "must be [x0, y0, x1, y1], not [0, 0, 1]"),
    (zoom("[0, 0, 1, 1, 1]"), "bad_box", "must be [x0, y0, x1, y1]"),
    (zoom("[]"), "bad_box", "must be"),
    (zoom('"0 0 1 1"'), "bad_box", "must be"),
    (zoom("null"), "bad_box", "must be"),
    (zoom('{"x0": 0}'), "bad_box", "must be"),
    (call("segment", {"box": None}), "bad_box", "must be"),
    (call("segment", {"positive": [1, 2]}), "bad_points", "must be [[x, y], ...]"),
    (call("segment", {"positive": [[1, 2, 3]]}), "bad_points", "must be"),
    (call("segment", {"positive": {"x": 1}}), "bad_points", "must be"),
    (call("segment", {"positive": [[1, 1001]]}), "out_of_range", "positive holds y = 1001"),
    (call("segment", {"positive": [[-1, 1]]}), "out_of_range", "x = -1"),
    (call("segment", {"box": [0, 0, 1, 1], "negative": [[1, 2000]]}), "out_of_range", "negative holds y = 2000"),
    (call("segment", {"positive": [[1, False]]}), "not_a_number", "false"),
    (call("segment", {"positive": [[1, 1]] * (MAX_POINTS + 1)}), "too_many", "33 points; at most 32"),
    (call("segment", {"refine": True}), "bad_mask", "ids of masks (1, 2, ...), not true"),
    (call("segment", {"refine": 0}), "bad_mask", "not 0"),
    (call("segment", {"refine": -1}), "bad_mask", "not -1"),
    (call("segment", {"refine": 1.0}), "bad_mask", "not 1.0"),
    (call("segment", {"refine": "1"}), "bad_mask", "not"),
    (call("segment", {"refine": [1]}), "bad_mask", "not [1]"),
    (call("combine", {"add": []}), "bad_masks", "a list of 1 to 32 mask ids, not []"),
    (call("combine", {"add": 1}), "bad_masks", "a list of"),
    (call("combine", {"add": [1], "subtract": []}), "bad_masks", "subtract must be a list"),
    (call("combine", {"add": [1, 1]}), "duplicate_mask", "names a mask twice"),
    (call("combine", {"add": [[1]]}), "bad_mask", "not [1]"),
    (call("combine", {"add": list(range(1, MAX_MASKS + 2))}), "bad_masks", "1 to 32"),
    (call("finish", {"mask": []}), "bad_masks", "a list of 1 to 32"),
    (call("finish", {"mask": None}), "bad_mask", "not null"),
    (call("finish", {"mask": True}), "bad_mask", "not true"),
    (call("finish", {"mask": [2, 2]}), "duplicate_mask", "twice"),
    (call("report_ambiguous", {"masks": [1], "question": "Which?"}), "bad_masks", "a list of 2 to 32"),
    (call("report_ambiguous", {"masks": 1, "question": "Which?"}), "bad_masks", "a list of 2"),
    (call("report_absent", {"reason": ""}), "bad_sentence", "must be a sentence"),
    (call("report_absent", {"reason": " \n\t"}), "bad_sentence", "must be a sentence"),
    (call("report_absent", {"reason": 5}), "bad_sentence", "must be a sentence"),
    (call("report_absent", {"reason": ["a"]}), "bad_sentence", "must be a sentence"),
    (call("report_absent", {"reason": "x" * (MAX_SENTENCE + 1)}), "bad_sentence", "at most 1000"),
    (raw('{"name": "report_absent", "arguments": {"reason": "\\ud800"}}'), "bad_sentence", "plain text"),
]


@pytest.mark.parametrize(("reply", "code", "message"), MISTAKES, ids=[f"{n}-{m[1]}" for n, m in enumerate(MISTAKES)])
def test_mistakes_are_told_precisely(reply: str, code: str, message: str) -> None:
    with pytest.raises(ReplyError) as caught:
        parse(reply)
    assert caught.value.code == code
    assert message in caught.value.message
    assert len(caught.value.message) < 400
    caught.value.message.encode()


@pytest.mark.parametrize(
    ("before", "after"), [("[", "]"), ('{"name":', "}"), ('{"name":"zoom","arguments":{"box":', "}}")]
)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"b":', "}")])
def test_no_depth_of_nesting_breaks_through(before: str, after: str, opening: str, closing: str) -> None:
    # What can just be read must also be fit to be quoted; both end at a depth that depends on the interpreter.
    for depth in range(1, 2100):
        with pytest.raises(ReplyError) as caught:
            parse(raw(before + opening * depth + "1" + closing * depth + after))
        assert caught.value.code in {"bad_json", "bad_call", "bad_box", "unknown_tool", "call_too_long"}


def test_thought_is_what_stands_before_the_call() -> None:
    assert thought(call("reset_view", {})) == "So."
    assert thought("no tags <tool_call>") == "no tags"
    assert thought("<think>cut of") == "cut of"
    assert thought("<tool_call>{}</tool_call>") == ""


# --- there and back


@given(actions(whole_numbers) | actions(thousandths), st.text(alphabet="ab <>/{}\n", max_size=20))
def test_parse_undoes_render(action: Action, before: str) -> None:
    assert parse(render(action)) == action
    assert parse(f"<think>{before}</think>{render(action)}") == action
    name, arguments = to_json(action)
    if "<" not in json.dumps(arguments):  # unescaped it could be a tag
        assert parse(call(name, arguments)) == action
    assert set(arguments) <= set(TOOLS[name].arguments)


@given(actions(thousandths), st.tuples(st.integers(28, 4096), st.integers(28, 4096)))
def test_parse_undoes_render_in_pixels(action: Action, extent: tuple[float, float]) -> None:
    name, arguments = to_json(action)
    box: Any = arguments.get("box", [0, 0, 1, 1])
    assume(min(box[2] - box[0], box[3] - box[1]) > 0.1)  # what is under a thousandth of a pixel can not be written
    again, read = to_json(parse(render(action, extent), extent))
    assert again == name
    for key, value in read.items():
        if key in ("box", "positive", "negative"):
            # Rounded to a thousandth of a pixel, of which there are at least 28 to 1000 units.
            assert np.allclose(np.asarray(value), np.asarray(arguments[key]), atol=0.02)
        else:
            assert value == arguments[key]


@pytest.mark.parametrize(
    "text", ["</tool_call>", '<tool_call>{"name": "reset_view"}</tool_call>', '"\\', "grün 中 🤖\0"]
)
def test_sentences_cannot_pose_as_a_call(text: str) -> None:
    assert parse(render(ReportAbsent(text))) == ReportAbsent(text)


def test_render_writes_whole_numbers_as_such_and_text_as_it_is() -> None:
    assert render(Zoom(Box(1.0, 2, 3.5, 4.00004))) == (
        '<tool_call>{"name": "zoom", "arguments": {"box": [1, 2, 3.5, 4]}}</tool_call>'
    )
    assert "grün" in render(ReportAbsent("grün"))


@given(st.integers(1, 4000), st.integers(1, 4000), st.data())
def test_pixels_of_a_resized_image_become_thousandths_exactly(width: int, height: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, width)), data.draw(st.integers(0, height))
    action = parse(call("segment", {"positive": [[x, y]]}), (width, height))
    exact = Point(float(Fraction(1000 * x, width)), float(Fraction(1000 * y, height)))
    assert action == Segment(positive=(exact,))
    assert 0 <= exact.x <= 1000
    assert 0 <= exact.y <= 1000


def test_extent_bounds_each_axis_by_its_own_side() -> None:
    assert parse(zoom("[0, 0, 1344, 756]"), (1344, 756)) == Zoom(Box(0, 0, 1000, 1000))
    with pytest.raises(ReplyError, match=r"y = 757, outside the current view \(0 to 756\)"):
        parse(zoom("[0, 0, 1344, 757]"), (1344, 756))


# --- fuzz

SEEDS = [
    call("segment", {"box": [120, 340, 260, 520], "positive": [[5, 6]], "negative": [[7, 8], [9, 10]], "refine": 2}),
    call("zoom", {"box": [0, 0.5, 1000, 999.5]}),
    call("combine", {"add": [1, 2], "subtract": [3]}),
    call("finish", {"mask": [1, 2]}),
    call("report_absent", {"reason": "Looked at all mugs: none is red."}),
    call("report_ambiguous", {"masks": [1, 2], "question": "The left or the right one?"}),
]
SHARDS = [
    *("<tool_call>", "</tool_call>", "<think>", "</think>", '{"name": ', '"arguments": ', "[", "]", "{", "}", ",", '"'),
    *("NaN", "-Infinity", "1e999", "-0", "0x10", "9" * 400, "1.", "true", "null", "\\ud800", "\\u0000", "\\", "\0"),
    *("\ud800", "\udfff", "🤖", "é", "\u202e", "\ufeff", "\r\n", "[" * 900, '{"a":' * 300, "x" * 5000),
]


def mutated(dice: random.Random) -> str:
    """A valid reply with a few damages: flipped bytes, cuts, splices with another, shards of what is hard to parse."""
    text = dice.choice(SEEDS)
    for _ in range(dice.randrange(1, 5)):
        spot, other = dice.randrange(len(text) + 1), dice.choice(SEEDS)
        match dice.randrange(6):
            case 0:
                data = bytearray(text.encode("utf-8", "surrogatepass"))
                for _ in range(dice.randrange(1, 4)):
                    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
                text = data.decode("utf-8", dice.choice(["replace", "surrogateescape", "ignore"]))
            case 1:
                text = text[:spot]
            case 2:
                text = text[:spot] + other[dice.randrange(len(other)) :]
            case 3:
                text = text[:spot] + dice.choice(SHARDS) + text[spot:]
            case 4:
                text = text[:spot] + dice.choice(SHARDS) + text[spot + dice.randrange(1, 8) :]
            case _:
                text = text[:spot] + chr(dice.randrange(0x110000)) + text[spot + 1 :]
        if not text:
            break
    return text


def test_10000_damaged_replies_give_an_action_or_a_reply_error() -> None:
    dice = random.Random(0)
    parsed = 0
    errors: list[ReplyError] = []
    for _ in range(10_000):
        reply = mutated(dice)
        try:
            action = parse(reply)
        except ReplyError as error:
            errors.append(error)
        else:
            parsed += 1
            to_json(action)
            render(action).encode()
        thought(reply)
    assert parsed > 100
    assert len({error.code for error in errors}) > 12
    assert all(len(error.message.encode()) < 400 for error in errors)
