"""Servers that are not quite OpenAI's: an answer that has come whole is used, whatever comes behind it or does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")

from chat_talk import ask, policy_for
from fakes import FINISH, SEGMENT
from openai_server import MODEL, OpenAIServer, Raw, Say
from openai_server.schema import pieces_of

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.policy import Reply

CLOSE = "</tool_call>"
CUT = SEGMENT.removesuffix(CLOSE)
DONE = b"data: [DONE]\n\n"
Event = dict[str, Any] | bytes


def chunk(text: str | None = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more


def stream(events: Sequence[Event]) -> Raw:
    lines = (
        event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n" for event in events
    )
    return Raw(b"".join(lines))


def answer(*events: Event) -> Reply:
    with OpenAIServer([stream(events)]) as server:
        return ask(policy_for(server).open())


TAILS: dict[str, list[Event]] = {
    "choices null": [
        chunk(finish="stop"),
        {"choices": None, "usage": {"prompt_tokens": 9, "completion_tokens": 9}},
        DONE,
    ],
    "no choices": [chunk(finish="stop"), {"usage": {"prompt_tokens": 9, "completion_tokens": 9}}, DONE],
    "delta null": [{"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}, DONE],
    "no delta": [{"choices": [{"finish_reason": "stop"}]}, DONE],
    "counts null": [chunk(finish="stop", usage={"prompt_tokens": None, "completion_tokens": None}), DONE],
    "counts as words": [chunk(finish="stop", usage={"prompt_tokens": "nine", "completion_tokens": -1}), DONE],
    "counts beyond all sense": [chunk(finish="stop", usage={"prompt_tokens": 10**30}), DONE],
    "usage a list": [chunk(finish="stop", usage=[]), DONE],
    "details null": [chunk(finish="stop", usage={"prompt_tokens": 9, "prompt_tokens_details": None}), DONE],
    "logprobs in another form": [{"choices": [{"delta": {}, "finish_reason": "stop", "logprobs": [1, 2]}]}, DONE],
    "ids as words": [{"choices": [{"delta": {}, "finish_reason": "stop", "token_ids": "12"}]}, DONE],
    "no finish_reason": [DONE],
    "no end at all": [],
    "the reason is no word": [chunk(finish=0), DONE],
    "eos_token": [chunk(finish="eos_token"), DONE],
    "capitals": [chunk(finish="STOP"), DONE],
    "a word of its own": [chunk(finish="done_reason"), DONE],
    "an aborted end": [chunk(finish="abort"), DONE],
    "an error": [{"error": {"message": "out of luck", "code": 500}}, DONE],
    "no JSON": [b"data: {broken\n\n", DONE],
    "no object": [b"data: []\n\n", b"data: 3\n\n", DONE],
    "a comment": [b": ping\n\n", chunk(finish="stop"), DONE],
    "choices of another kind": [{"choices": 3}, {"choices": [3]}, DONE],
    "thoughts behind the call": [{"choices": [{"delta": {"reasoning_content": "hm"}}]}, DONE],
    "no text but a list": [{"choices": [{"delta": {"content": []}}]}, DONE],
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
def test_nothing_behind_a_whole_call_spoils_it(tail: list[Event]) -> None:
    reply = answer(chunk(SEGMENT), *tail)
    assert (reply.text, reply.stop) == (SEGMENT, "call")
    assert (reply.token_ids, reply.logprobs) == (None, None)


@pytest.mark.parametrize("end", ["hang", {"message": "engine died", "code": 500}])
def test_a_server_that_breaks_off_behind_the_call_has_answered(end: Any) -> None:
    text = SEGMENT + " and so on"
    with OpenAIServer([Say(text, after=len(pieces_of(text)) - 1, then=end)], plain=True) as server:
        reply = ask(policy_for(server).open())
    assert (reply.text, reply.stop) == (SEGMENT, "call")


# --- a stop string that is cut out


@pytest.mark.parametrize(
    "tail",
    [
        [chunk(finish="stop"), DONE],
        [chunk("\n", finish="stop"), DONE],
        [chunk("</tool_call", finish="stop"), DONE],
        [chunk(finish="eos"), DONE],
        [DONE],
        [],
        [chunk(finish="stop", usage={"prompt_tokens": None}), DONE],
    ],
)
def test_a_stop_string_that_is_cut_out_is_put_back(tail: list[Event]) -> None:
    reply = answer(chunk(CUT), *tail)
    assert reply.text.rstrip() == SEGMENT
    assert reply.stop == "call"


def test_a_server_that_passes_over_what_it_does_not_know_is_asked_on() -> None:
    """Most servers know `stop` but not vLLM's field that keeps it in the text, and refuse neither."""

    def cutting(body: dict[str, Any]) -> Raw:
        said = sum(message["role"] == "assistant" for message in body["messages"])
        text = (SEGMENT, FINISH)[said].split(body["stop"][0])[0]
        return stream([chunk(text), chunk(finish="stop"), DONE])

    with OpenAIServer(reply_to=cutting) as server:
        conversation = policy_for(server).open()
        assert [ask(conversation).text for _ in range(2)] == [SEGMENT, FINISH]


def test_what_vllm_leaves_open_was_left_open_by_the_model() -> None:
    """It keeps the stop string, so that its reply is the model's own; the agent notes the slip."""
    event = {"choices": [{"index": 0, "delta": {"content": CUT}, "token_ids": [1, 2], "finish_reason": "stop"}]}
    assert answer(event, DONE).text == CUT


@pytest.mark.parametrize("text", [CUT[:-1], CUT[:-5], "<think>I look.</think>", "<think>So.</think><tool_call>"])
def test_what_is_not_whole_is_not_closed(text: str) -> None:
    assert answer(chunk(text), chunk(finish="stop"), DONE).text == text
    with pytest.raises(RunFailed, match="ended its answer before the reply was"):
        answer(chunk(text), DONE)


def test_a_reply_cut_at_its_limit_is_not_closed() -> None:
    reply = answer(chunk(CUT), chunk(finish="max_tokens"), DONE)
    assert (reply.text, reply.stop) == (CUT, "length")


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
def test_a_server_that_says_anything_is_alive(tail: list[Event]) -> None:
    with OpenAIServer([stream([chunk(SEGMENT), *tail])]) as server:
        assert policy_for(server).check(engine_seconds=10.0).models == (MODEL,)


def test_a_server_that_breaks_on_other_paths_is_alive() -> None:
    """As one does that reads `messages` of anything that is posted to it."""
    with OpenAIServer() as server:
        server.drops_other_paths = True
        assert policy_for(server).check(engine_seconds=10.0).models == (MODEL,)
