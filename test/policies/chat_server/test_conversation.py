from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")

from chat_talk import FOREVER, ask, noise, policy_for, user
from fakes import ABSENT, FINISH, MALFORMED, SEGMENT, ZOOM
from openai_server import OpenAIServer, Raw, Say, picture_bytes, pieces_of, prompt_tokens

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.parsing import MAX_REPLY_CHARS, parse
from rsagent_ros.policies.chat_server.stream import StreamedReply


def test_a_reply_is_recorded_whole_with_its_ids_and_counts(server: OpenAIServer) -> None:
    reply = ask(policy_for(server, logprobs=True).open(), user("where?", noise()))
    assert (reply.text, reply.stop) == (SEGMENT, "call")
    tokens = len(pieces_of(SEGMENT))
    assert reply.token_ids is not None
    assert len(reply.token_ids) == tokens == reply.sampled_tokens
    assert reply.logprobs == (-0.5,) * tokens
    assert reply.prompt_tokens == len(prompt_tokens(server.seen[0].body["messages"]))
    assert reply.seconds > 0
    assert not reply.degraded


def test_without_logprobs_none_are_asked_for(server: OpenAIServer) -> None:
    assert ask(policy_for(server).open()).logprobs is None
    assert "logprobs" not in server.seen[0].body


def test_a_reply_ends_behind_its_call(server: OpenAIServer) -> None:
    server.script = [FINISH + " and then I would"]
    assert ask(policy_for(server, constrained=False).open()).text == FINISH


def test_a_reply_is_cut_at_its_limit(server: OpenAIServer) -> None:
    reply = ask(policy_for(server).open(), max_tokens=3)
    assert (reply.stop, reply.text, reply.sampled_tokens) == ("length", SEGMENT[:12], 3)


def test_sampling_is_sent_in_full_so_that_no_default_of_the_model_slips_in(server: OpenAIServer) -> None:
    policy = policy_for(server, temperature=0.7, top_p=0.9, top_k=40, repetition_penalty=1.05, seed=11)
    ask(policy.open())
    ask(policy.open())
    sent = [(seen.body["temperature"], seen.body["top_p"], seen.body["top_k"]) for seen in server.seen]
    assert sent == [(0.7, 0.9, 40)] * 2
    assert [seen.body["repetition_penalty"] for seen in server.seen] == [1.05] * 2
    # Rollouts of one goal must differ, and be the same again in the next run.
    assert [seen.body["seed"] for seen in server.seen] == [11, 12]


def test_the_grammar_holds_a_model_to_a_call(server: OpenAIServer) -> None:
    server.script = [MALFORMED]
    assert parse(ask(policy_for(server).open()).text)
    assert ask(policy_for(server, constrained=False).open()).text == MALFORMED
    assert "structured_outputs" not in server.seen[1].body


@pytest.mark.parametrize(("family", "largest"), [("qwen3_vl", 1000), ("qwen2_5_vl", 756)])
def test_the_grammar_s_numbers_end_where_the_family_s_pictures_do(
    server: OpenAIServer, family: str, largest: int
) -> None:
    policy = policy_for(server, family=family)
    ask(policy.open())
    form = re.compile(server.seen[0].body["structured_outputs"]["regex"])
    call = '<think></think><tool_call>{{"name": "zoom", "arguments": {{"box": [0, 0, 9, {}]}}}}</tool_call>'
    assert [bool(form.fullmatch(call.format(most))) for most in (largest, largest + 1)] == [True, False]


def test_a_chat_only_grows_and_its_pictures_stay_byte_for_byte_the_same(server: OpenAIServer) -> None:
    server.script = [SEGMENT, ZOOM, FINISH]
    conversation = policy_for(server).open()
    ask(conversation, Message("system", (Text("be brief"),)), user("where?", noise(64, 96)))
    ask(conversation, user("here", noise(seed=1)))
    ask(conversation, user("there", noise(seed=2)))
    chats = [seen.body["messages"] for seen in server.seen]
    for earlier, later, said in zip(chats, chats[1:], (SEGMENT, ZOOM), strict=False):
        assert later[: len(earlier)] == earlier
        assert later[len(earlier)] == {"role": "assistant", "content": said}
    assert [len(picture_bytes(seen.body)) for seen in server.seen] == [1, 2, 3]
    assert len({picture_bytes(seen.body)[0] for seen in server.seen}) == 1
    # The very bytes on the wire, not only what they mean.
    for earlier, later in zip(server.seen, server.seen[1:], strict=False):
        start = earlier.raw.index(b'"messages":')
        end = start + len(json.dumps(earlier.body["messages"], separators=(",", ":"), ensure_ascii=False).encode()) + 10
        assert later.raw[later.raw.index(b'"messages":') :].startswith(earlier.raw[start:end])


def test_of_the_tokens_of_earlier_turns_at_least_95_percent_are_cache_hits_over_8_turns(server: OpenAIServer) -> None:
    server.script = [SEGMENT]
    conversation = policy_for(server).open()
    known, hits = 0, 0
    earlier = 0
    for number in range(8):
        reply = ask(conversation, user(f"turn {number}: what do you see?", noise(384, 384, seed=number)))
        known += earlier
        hits += reply.cached_tokens
        earlier = reply.prompt_tokens + reply.sampled_tokens
    assert 0.95 * known <= hits <= known


def test_replies_of_another_policy_are_part_of_the_chat(server: OpenAIServer) -> None:
    ask(policy_for(server).open(), user("where?"), Message("assistant", (Text(ZOOM),)), user("here"))
    assert [message["role"] for message in server.seen[0].body["messages"]] == ["user", "assistant", "user"]


def test_a_picture_of_another_format_is_refused(server: OpenAIServer) -> None:
    with pytest.raises(ValueError, match="a picture of 65 x 32; Qwen3-VL needs sides that are multiples of 32"):
        ask(policy_for(server).open(), user("where?", noise(65, 32)))
    assert server.seen == []


def test_more_pictures_than_allowed_end_the_goal_before_they_are_sent(server: OpenAIServer) -> None:
    conversation = policy_for(server, max_images=2).open()
    ask(conversation, user("one", noise()), user("two", noise()))
    with pytest.raises(RunFailed, match="the chat holds 3 pictures and max_images is 2") as caught:
        ask(conversation, user("three", noise()))
    assert caught.value.code is ErrorCode.CONTEXT_TOO_LONG
    assert len(server.seen) == 1


def test_cancel_closes_the_request_and_keeps_what_had_come(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = [Say(after=5)]
    came, cancel = threading.Event(), CancelToken()
    add = StreamedReply.add

    def counted(reply: StreamedReply, data: object) -> None:
        add(reply, data)
        if len(reply.text) == 20:
            came.set()

    monkeypatch.setattr(StreamedReply, "add", counted)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, policy_for(server).open(), cancel=cancel)
        assert came.wait(FOREVER)
        cancel.set()
        assert reply.result(FOREVER).stop == "cancel"
    assert reply.result().text == SEGMENT[:20]
    assert reply.result().sampled_tokens == 5
    assert len(reply.result().token_ids or ()) == 5
    assert server.seen[0].gone.wait(FOREVER)


@pytest.mark.parametrize("after", [-1, 0])
def test_cancel_breaks_off_a_server_that_has_not_said_a_word(server: OpenAIServer, after: int) -> None:
    server.script = [Say(after=after)]
    cancel = CancelToken()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, policy_for(server).open(), cancel=cancel)
        while not server.seen:
            cancel.wait(0.01)
        assert server.seen[0].hanging.wait(FOREVER)
        cancel.set()
        assert (reply.result(FOREVER).text, reply.result().stop) == ("", "cancel")
    assert server.seen[0].gone.wait(FOREVER)


@pytest.mark.parametrize("after", [-1, 5])
def test_the_deadline_closes_the_request(server: OpenAIServer, after: int) -> None:
    server.script = [Say(after=after)]
    reply = ask(policy_for(server).open(), seconds=1.5)
    assert reply.stop == "deadline"
    assert SEGMENT.startswith(reply.text)
    assert server.seen[0].gone.wait(FOREVER)


def test_a_deadline_that_is_over_sends_nothing(server: OpenAIServer) -> None:
    reply = ask(policy_for(server).open(), seconds=-1.0)
    assert (reply.text, reply.stop, server.seen) == ("", "deadline", [])


def test_slow_tokens_are_waited_for(server: OpenAIServer) -> None:
    server.script = [Say(seconds=0.005)]
    assert ask(policy_for(server).open()).text == SEGMENT


def test_closing_a_conversation_breaks_off_its_reply(server: OpenAIServer) -> None:
    server.script = [Say(after=-1)]
    conversation = policy_for(server).open()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, conversation)
        while not server.seen:
            threading.Event().wait(0.01)
        conversation.close()
        conversation.close()
        assert reply.result(FOREVER).stop == "cancel"


def test_closing_the_policy_breaks_off_its_replies_and_refuses_new_ones(server: OpenAIServer) -> None:
    server.script = [Say(after=-1)]
    policy = policy_for(server)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, policy.open())
        while not server.seen:
            threading.Event().wait(0.01)
        policy.close()
        policy.close()
        assert reply.result(FOREVER).stop == "cancel"
    with pytest.raises(RuntimeError, match="the connection to the model server is closed"):
        ask(policy.open())


def test_eight_threads_talk_to_one_server_and_none_hears_another(server: OpenAIServer) -> None:
    # Each echoes the last thing it was told, so a mixed-up answer would show.
    server.reply_to = lambda body: Say(f"echo {body['messages'][-1]['content']}", seconds=0.001)
    policy = policy_for(server, constrained=False)

    def talk(number: int) -> list[str]:
        conversation = policy.open()
        return [ask(conversation, user(f"{number} {turn}")).text for turn in range(4)]

    with ThreadPoolExecutor(8) as pool:
        heard = list(pool.map(talk, range(8)))
    assert heard == [[f"echo {number} {turn}" for turn in range(4)] for number in range(8)]


def test_a_server_that_knows_no_grammar_is_asked_without_one_from_then_on(
    server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.lacks = {"structured_outputs"}
    policy = policy_for(server)
    assert ask(policy.open()).text == SEGMENT
    assert ask(policy.open()).token_ids is not None
    assert ["structured_outputs" in seen.body for seen in server.seen] == [True, False, False]
    assert [record.levelname for record in caplog.records if "from now on" in record.message] == ["WARNING"]


def test_a_server_that_refuses_the_grammar_inside_the_stream_is_asked_without_one(server: OpenAIServer) -> None:
    # vLLM compiles the grammar when the answer has begun: status 200, and then an event with the error.
    refusal = {"message": "Invalid grammar specification.", "type": "BadRequestError", "param": None, "code": 400}
    server.reply_to = lambda body: Say(after=0, then=refusal) if "structured_outputs" in body else SEGMENT
    assert ask(policy_for(server).open()).text == SEGMENT
    assert len(server.seen) == 2


def test_a_server_that_knows_openai_s_fields_alone_is_asked_with_those() -> None:
    with OpenAIServer([SEGMENT + " and on", FINISH], plain=True) as server:
        policy = policy_for(server)
        reply = ask(policy.open())
        assert (reply.text, reply.stop, reply.token_ids) == (SEGMENT, "call", None)
        assert reply.sampled_tokens == len(pieces_of(SEGMENT + " and on"))
        assert ask(policy.open()).text == FINISH
    refused = [set(seen.body) & {"structured_outputs", "stop", "return_token_ids"} for seen in server.seen]
    assert list(map(len, refused)) == [3, 2, 0, 0]


def test_a_model_that_goes_on_behind_its_call_is_not_listened_to_for_long() -> None:
    with OpenAIServer([Say(SEGMENT + "blah " * 1_000, after=200)], plain=True) as server:
        assert ask(policy_for(server).open()).text == SEGMENT
        assert server.seen[-1].gone.wait(FOREVER)


def test_a_reply_without_end_is_cut_though_the_server_keeps_no_limit() -> None:
    event = {"choices": [{"index": 0, "delta": {"content": "blah " * 1_000}}]}
    endless = Raw(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for _ in range(20)))
    with OpenAIServer([endless]) as server:
        reply = ask(policy_for(server).open())
    assert reply.stop == "length"
    assert MAX_REPLY_CHARS < len(reply.text) < MAX_REPLY_CHARS + 10_000


def test_half_a_character_does_not_spoil_the_next_request(server: OpenAIServer) -> None:
    half = Raw(b'data: {"choices": [{"delta": {"content": "a\\ud83d b"}, "finish_reason": "stop"}]}\n\n')
    server.script = [half, SEGMENT]
    conversation = policy_for(server).open()
    assert ask(conversation).text == "a? b"
    assert ask(conversation).text == SEGMENT


@pytest.mark.parametrize(
    "choice",
    [
        {"delta": {"reasoning_content": "hm"}},
        {"delta": {"reasoning": "hm"}},
        {"delta": {}, "finish_reason": "tool_calls"},
    ],
)
def test_a_server_that_takes_replies_apart_is_named_as_the_cause(server: OpenAIServer, choice: dict[str, Any]) -> None:
    server.script = [Raw(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\ndata: [DONE]\n\n")]
    with pytest.raises(RunFailed, match="start it without a reasoning parser") as caught:
        ask(policy_for(server).open())
    assert caught.value.code is ErrorCode.POLICY_FAILED


def test_ids_that_do_not_cover_the_reply_are_left_out(server: OpenAIServer) -> None:
    events: list[dict[str, Any]] = [
        {"choices": [{"delta": {"content": ABSENT}, "token_ids": [7], "logprobs": {"content": [{"logprob": -1.0}]}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9}},
    ]
    server.script = [Raw(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))]
    reply = ask(policy_for(server).open())
    assert (reply.text, reply.token_ids, reply.logprobs, reply.sampled_tokens) == (ABSENT, None, None, 9)
