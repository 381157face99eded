"""The JSON schema and the grammar of the tool set: what they let through has the form that `parse` reads."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from strategies import actions, whole_numbers

from rsagent_ros.agent.actions import TOOLS, Action, render, to_json
from rsagent_ros.agent.errors import ReplyError
from rsagent_ros.agent.grammar import grammar, schema
from rsagent_ros.agent.parsing import parse

# What only the numbers decide, and what a form therefore can't: see the messages in `actions`.
VALUE_MISTAKES = {"out_of_range", "reversed_box", "empty_box", "duplicate_mask", "no_prompt", "bad_sentence"}
# The grammar allows no escapes in sentences: these need none.
easy_sentences = st.text("abc ,.?'äß中🤖", min_size=1, max_size=300).filter(str.strip)


GRAMMAR = re.compile(grammar())
VALIDATOR = Draft202012Validator(schema())


def as_call(action: Action) -> dict[str, object]:
    name, arguments = to_json(action)
    return {"name": name, "arguments": arguments}


@given(actions(whole_numbers))
def test_schema_admits_every_action(action: Action) -> None:
    VALIDATOR.validate(as_call(action))


def test_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"name": "zoom"},
        {"name": "zoom", "arguments": {}},
        {"name": "click", "arguments": {}},
        {"name": "reset_view", "arguments": {"box": [0, 0, 1, 1]}},
        {"name": "reset_view", "arguments": {}, "id": 1},
        {"name": "zoom", "arguments": {"box": [0, 0, 1]}},
        {"name": "zoom", "arguments": {"box": [0, 0, 1, 1001]}},
        {"name": "zoom", "arguments": {"box": [0, 0, 1, "1"]}},
        {"name": "segment", "arguments": {"positive": [1, 2]}},
        {"name": "segment", "arguments": {"refine": 0}},
        {"name": "combine", "arguments": {"add": []}},
        {"name": "combine", "arguments": {"add": [1], "subtract": []}},
        {"name": "finish", "arguments": {"mask": True}},
        {"name": "report_absent", "arguments": {"reason": ""}},
        {"name": "report_ambiguous", "arguments": {"masks": [1], "question": "Which?"}},
    ],
)
def test_schema_refuses_what_parse_refuses(call: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid(call)
    with pytest.raises(ReplyError):
        # parse takes a call without arguments for one with none, so that `zoom` fails on its box
        parse(f"<tool_call>{json.dumps(call)}</tool_call>")


def test_schema_says_what_each_tool_and_argument_is_for() -> None:
    text = json.dumps(schema())
    for name, tool in TOOLS.items():
        assert json.dumps(name) in text
        assert json.dumps(tool.meaning) in text
        for argument in tool.arguments.values():
            assert json.dumps(argument.meaning) in text


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
