"""The grammar of the tool set: what it lets through has the form that `parse` reads."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import actions, whole_numbers

from rsagent_ros.agent.actions import TOOLS, Action, render
from rsagent_ros.agent.errors import ReplyError
from rsagent_ros.agent.grammar import grammar
from rsagent_ros.agent.parsing import parse

# What only the numbers decide, and what a form therefore can't: see the messages in `actions`.
VALUE_MISTAKES = {"out_of_range", "reversed_box", "empty_box", "duplicate_mask", "no_prompt", "bad_sentence"}
# The grammar allows no escapes in sentences: these need none.
easy_sentences = st.text("abc ,.?'äß中🤖", min_size=1, max_size=300).filter(str.strip)


GRAMMAR = re.compile(grammar())


@given(actions(whole_numbers, easy_sentences), st.text("ab .,!\n\"'{}ü", max_size=30), st.sampled_from(["", "\n", " "]))
def test_grammar_admits_every_action_with_a_thought(action: Action, before: str, between: str) -> None:
    assert GRAMMAR.fullmatch(f"<think>{before}</think>{between}{render(action)}")


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
        '{"name": "finish", "arguments": {"mask": 0}}</tool_call>',
        '{"name": "report_ambiguous", "arguments": {"masks": [1], "question": "Which?"}}</tool_call>',
        '{"name": "report_absent", "arguments": {"reason": "</tool_call>"}}</tool_call>',
    ],
)
def test_grammar_refuses_other_forms(call: str) -> None:
    assert not GRAMMAR.fullmatch(f"<think>So.</think><tool_call>{call}")


def test_grammar_wants_one_thought_before_the_call() -> None:
    call = '<tool_call>{"name": "reset_view", "arguments": {}}</tool_call>'
    assert GRAMMAR.fullmatch(f"<think></think>{call}")
    for before in ("", "<think>", "So.", "<think><b></think>", "<think></think><think></think>"):
        assert not GRAMMAR.fullmatch(before + call)
