"""The grammar of the tool set: what it lets through has the form that `parse` reads."""

from __future__ import annotations

import re
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import actions, whole_numbers

from rsagent_ros.agent.actions import (
    ALL_TOOLS,
    FIRST_TOOLS,
    MAX_PHRASE,
    TOOLS,
    Action,
    Find,
    Finish,
    GiveUp,
    ReportAmbiguous,
    render,
)
from rsagent_ros.agent.errors import ReplyError
from rsagent_ros.agent.geometry import EXTENT
from rsagent_ros.agent.grammar import grammar
from rsagent_ros.agent.parsing import parse, read

# What four numbers of a box decide together, and sentences that are too long or blank but for ASCII's blanks.
VALUE_MISTAKES = {"reversed_box", "empty_box", "bad_sentence", "bad_phrase"}
# The grammar allows no escapes in sentences, and no blank at their beginning: these need none.
easy_sentences = st.text("abc ,.?'äß中🤖", min_size=1, max_size=300).map(str.strip).filter(str.strip)


GRAMMAR = re.compile(grammar())


def listed(masks: tuple[int, ...], largest: int) -> bool:
    """Whether the grammar has a list of these, of which three or more may rise to the largest."""
    rises = all(one < two for one, two in pairwise(masks)) and max(masks, default=0) <= largest
    two, three = len(masks) == 2 and max(masks) <= 24, len(masks) == 3 and max(masks) < 10
    return len(masks) < 2 or rises or two or three


@given(actions(whole_numbers, easy_sentences), st.text("ab .,!\n\"'{}ü", max_size=30), st.sampled_from(["", "\n", " "]))
def test_grammar_admits_every_action_with_a_thought(action: Action, before: str, between: str) -> None:
    lists = [getattr(action, name, ()) for name in ("add", "subtract", "masks")]
    largest = 24 if isinstance(action, Finish | ReportAmbiguous) else 12
    admitted = GRAMMAR.fullmatch(f"<think>{before}</think>{between}{render(action)}") is not None
    assert admitted is all(listed(masks, largest) for masks in lists)


def test_grammar_admits_two_or_three_masks_in_any_order() -> None:
    orders = [*permutations(range(1, 10), 2), *permutations(range(1, 10), 3)]
    assert all(GRAMMAR.fullmatch(f"<think></think>{render(Finish(masks))}") for masks in orders)


@given(st.from_regex(GRAMMAR, fullmatch=True))
def test_what_the_grammar_admits_has_the_form_of_a_call(reply: str) -> None:
    try:
        action = parse(reply)
    except ReplyError as error:
        code = error.code
    else:
        code = ""
        assert parse(render(action)) == action
    assert code in VALUE_MISTAKES | {""}


@given(st.from_regex(GRAMMAR, fullmatch=True))
def test_every_reply_that_the_grammar_admits_is_read(reply: str) -> None:
    """But for a box without an extent, and words of any length; which masks there are only the episode knows."""
    code = ""
    try:
        read(reply, (EXTENT, EXTENT), ended=True)
    except ReplyError as error:
        code = error.code
    assert code in ("", "empty_box") or (code.startswith(("bad_", "call_too_long")) and len(reply) > MAX_PHRASE)


@pytest.mark.parametrize("name", list(TOOLS))
def test_grammar_reaches_every_tool(name: str) -> None:
    assert f'"name": "{name}"' in GRAMMAR.pattern


@pytest.mark.parametrize(
    "call",
    [
        "",
        '{"name": "reset_view", "arguments": {}}</tool_call> ',
        '{"name": "reset_view", "arguments": {}}</tool_call></tool_call>',
        '{"name": "click", "arguments": {}}</tool_call>',
        '{"name": "zoom", "arguments": {}}</tool_call>',
        '{"name": "zoom", "arguments": {"box": [1, 2, 3, 04]}}</tool_call>',
        '{"name": "zoom", "arguments": {"box": [1, 2, 3, -4]}}</tool_call>',
        '{"name": "segment", "arguments": {, "refine": 1}}</tool_call>',
        '{"name": "segment", "arguments": {}}</tool_call>',
        '{"name": "segment", "arguments": {"negative": [[1, 2]]}}</tool_call>',
        '{"name": "zoom", "arguments": {"box": [1, 2, 3, 1001]}}</tool_call>',
        '{"name": "finish", "arguments": {"mask": [1, 2, 1]}}</tool_call>',
        '{"name": "combine", "arguments": {"add": [2, 2]}}</tool_call>',
        '{"name": "report_absent", "arguments": {"reason": " "}}</tool_call>',
        '{"name": "finish", "arguments": {"mask": 0}}</tool_call>',
        '{"name": "report_ambiguous", "arguments": {"masks": [1], "question": "Which?"}}</tool_call>',
        '{"name": "report_absent", "arguments": {"reason": "</tool_call>"}}</tool_call>',
    ],
)
def test_grammar_refuses_other_forms(call: str) -> None:
    assert not GRAMMAR.fullmatch(f"<think>So.</think><tool_call>{call}")


@pytest.mark.parametrize("largest", [7, 10, 756, 999, 1000, 1540, 4096])
def test_numbers_end_at_the_largest(largest: int) -> None:
    form = re.compile(grammar(largest))
    reply = '<think></think><tool_call>{{"name": "zoom", "arguments": {{"box": [0, 0, {}, 1]}}}}</tool_call>'
    numbers = [n for n in range(2 * largest) if form.fullmatch(reply.format(n))]
    assert numbers == list(range(largest + 1))


def test_thoughts_and_sentences_end() -> None:
    call = '<tool_call>{{"name": "report_absent", "arguments": {{"reason": "{}"}}}}</tool_call>'
    for thought, reason, admitted in ((200, 60, True), (201, 60, False), (200, 61, False)):
        reply = f"<think>{' '.join(['so'] * thought)}</think>" + call.format(" ".join(["no"] * reason))
        assert bool(GRAMMAR.fullmatch(reply)) is admitted


def test_grammar_wants_one_thought_before_the_call() -> None:
    call = '<tool_call>{"name": "reset_view", "arguments": {}}</tool_call>'
    assert GRAMMAR.fullmatch(f"<think></think>{call}")
    for before in ("", "<think>", "So.", "<think><b></think>", "<think></think><think></think>"):
        assert not GRAMMAR.fullmatch(before + call)


def test_a_tool_that_is_not_offered_is_not_admitted() -> None:
    older = re.compile(grammar(tools=FIRST_TOOLS))
    newer = re.compile(grammar(tools=ALL_TOOLS))
    for action in (Find("red mug"), GiveUp("I can't tell.")):
        assert newer.fullmatch(f"<think></think>{render(action)}")
        assert not older.fullmatch(f"<think></think>{render(action)}")
