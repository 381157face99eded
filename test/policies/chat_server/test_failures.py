from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")

from chat_talk import ask, noise, policy_for, user
from fakes import SEGMENT
from openai_server import Fail, OpenAIServer, Raw, Say, Step, prompt_tokens

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy

AWAY = ErrorCode.MODEL_UNAVAILABLE
TOO_LONG = ErrorCode.CONTEXT_TOO_LONG
QUICK = {"retries": 0}


def failure(server: OpenAIServer, **settings: Any) -> RunFailed:
    """How a reply of this server fails."""
    with pytest.raises(RunFailed) as caught:
        ask(policy_for(server, **settings).open())
    return caught.value


@pytest.mark.parametrize(
    ("step", "requests", "code", "sentence"),
    [
        (Fail(500, "CUDA error"), 1, AWAY, r"failed \(500: CUDA error\); see its log"),
        (Fail(502, "bad gateway"), 1, AWAY, r"failed \(502: bad gateway\)"),
        (Fail(401, "Unauthorized"), 1, AWAY, r"refuses the API key .* the environment variable RSAGENT_API_KEY"),
        (Fail(403, "Forbidden"), 1, AWAY, r"refuses the API key \(403: Forbidden\)"),
        (Fail(413, "too large"), 1, TOO_LONG, r"the chat is too long for the model \(too large\)"),
        (Fail(400, "the messages are wrong"), 3, ErrorCode.POLICY_FAILED, r"refuses the request \(400: the messages"),
        (Say(after=3, then="drop"), 1, AWAY, "broke off in the middle of a reply; see its log"),
        (Say(after=0, then="drop"), 1, AWAY, "broke off in the middle of a reply"),
        (Say(after=3, then="end"), 1, AWAY, "ended its answer before the reply was; see its log"),
        (
            Raw(b'data: {"choices": [{"delta": {"content": "<think>I"}, "finish_reason": "abort"}]}\n\n'),
            1,
            AWAY,
            "ended the reply for the reason 'abort'",
        ),
        (Say(after=3, then={"message": "engine died", "code": 500}), 1, AWAY, r"failed \(500: engine died\)"),
        (Say(after=3, then={"message": "no", "code": 400}), 1, ErrorCode.POLICY_FAILED, r"refuses .* \(400: no\)"),
        (Say(after=3, then={"message": "later", "code": 503}), 1, AWAY, r"is busy or not ready \(503: later\)"),
        (Say(after=3, then="out of luck"), 1, AWAY, r"failed \(out of luck\); see its log"),
        (Say(after=0, then="out of luck"), 3, AWAY, r"failed \(out of luck\); see its log"),
        (Raw(b"data: {not json\n\n"), 1, AWAY, "does not answer as OpenAI's protocol says .* usually ends in /v1"),
        (Raw(b'data: {"choices": 3}\n\n'), 1, AWAY, "does not answer as OpenAI's protocol says .*choices"),
        (Raw(b"data: []\n\n"), 1, AWAY, "does not answer as OpenAI's protocol says"),
        (Raw(b"<html>log in to the network</html>", "text/html"), 1, AWAY, "ended its answer before the reply was"),
    ],
)
def test_each_failure_has_a_code_and_a_sentence(
    server: OpenAIServer, step: Step, requests: int, code: ErrorCode, sentence: str
) -> None:
    server.script = [step]
    failed = failure(server)
    assert failed.code is code
    assert re.search(sentence, failed.message), failed.message
    assert len(server.seen) == requests


def test_a_long_error_is_cut(server: OpenAIServer) -> None:
    server.script = [Fail(500, "x" * 10_000)]
    assert len(failure(server).message) < 500


@pytest.mark.parametrize(
    "words",
    [
        "max_completion_tokens=99999 cannot be greater than max_model_len=max_total_tokens=4096. Please request fewer.",
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "The prompt (length 20000) is longer than the maximum model length of 16384.",
        "max_completion_tokens=512 cannot be greater than max_model_len=256. This model's context length is too short",
        "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "Input length (9000 tokens) exceeds the maximum allowed length (8192 tokens).",
    ],
)
def test_a_chat_too_long_is_told_from_other_refusals_however_it_is_worded(server: OpenAIServer, words: str) -> None:
    server.script = [Fail(400, words)]
    assert failure(server).code is TOO_LONG
    assert len(server.seen) == 1


def test_a_chat_that_outgrows_the_context_ends_there_and_nothing_is_left_out(server: OpenAIServer) -> None:
    server.context = 500
    conversation = policy_for(server).open()
    ask(conversation, user("one", noise(512, 512)))
    with pytest.raises(RunFailed, match=r"maximum context length is 500 tokens.* use fewer turns") as caught:
        ask(conversation, user("two", noise(512, 512)))
    assert caught.value.code is TOO_LONG


def test_more_pictures_than_the_server_takes_end_the_goal(server: OpenAIServer) -> None:
    server.max_images = 1
    with pytest.raises(RunFailed, match=r"more pictures than the model server takes \(At most 1 image") as caught:
        ask(policy_for(server).open(), user("two", noise(), noise()))
    assert caught.value.code is TOO_LONG


def test_a_model_that_is_not_served_is_named_with_those_that_are(server: OpenAIServer) -> None:
    failed = failure(server, model="other")
    assert failed.code is AWAY
    assert "does not know the model 'other'" in failed.message
    assert "Valid aliases: test-model" in failed.message


def test_a_path_that_is_not_there_names_the_usual_mistake(server: OpenAIServer) -> None:
    failed = failure(server, base_url=server.url.removesuffix("/v1"))
    assert failed.code is AWAY
    assert "base_url usually ends in /v1" in failed.message


def test_a_server_that_is_away(server: OpenAIServer) -> None:
    server.stop()
    failed = failure(server, **QUICK)
    assert failed.code is AWAY
    assert re.search(r"the model server at http://127.0.0.1:\d+/v1 can't be reached .* start it", failed.message)


def test_a_server_that_never_answers_counts_as_lost_after_the_stall_timeout(silent_port: int) -> None:
    policy = ChatServerPolicy(ChatServerConfig("m", f"http://127.0.0.1:{silent_port}/v1", stall_timeout=0.2))
    with pytest.raises(RunFailed, match=r"has sent nothing for 0.2 s \(stall_timeout\)") as caught:
        ask(policy.open())
    assert caught.value.code is AWAY


@pytest.mark.parametrize("after", [-1, 0, 3])
def test_a_server_that_falls_silent_counts_as_lost_and_is_not_asked_twice(server: OpenAIServer, after: int) -> None:
    """The request has reached the model: sent again, it would be computed twice."""
    server.script = [Say(after=after)]
    assert "has sent nothing for 0.2 s" in failure(server, stall_timeout=0.2).message
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_what_has_not_reached_the_model_is_sent_again(server: OpenAIServer, status: int) -> None:
    fault = Fail(status, "slow down", {"Retry-After": "0"})
    server.script = [fault, fault, SEGMENT]
    assert ask(policy_for(server, retries=2).open()).text == SEGMENT
    assert len(server.seen) == 3
    assert len({seen.raw for seen in server.seen}) == 1


def test_a_connection_that_is_dropped_before_an_answer_is_made_again(server: OpenAIServer) -> None:
    server.script = [Say(after=-1, then="drop"), SEGMENT]
    assert ask(policy_for(server).open()).text == SEGMENT


def test_it_is_not_sent_again_for_ever(server: OpenAIServer) -> None:
    server.script = [Fail(429, "slow down", {"Retry-After": "0"})]
    failed = failure(server, retries=2)
    assert failed.code is AWAY
    assert "is busy or not ready (429: slow down)" in failed.message
    assert len(server.seen) == 3


@pytest.mark.parametrize("wait", ["3600", "inf"])
def test_a_wait_beyond_the_deadline_is_not_begun(server: OpenAIServer, wait: str) -> None:
    server.script = [Fail(429, "slow down", {"Retry-After": wait})]
    assert failure(server).code is AWAY
    assert len(server.seen) == 1


@pytest.mark.parametrize("wait", ["soon", "Fri, 21 Nov 2036 07:28:00 GMT", "nan", "-5"])
def test_a_wait_that_is_no_number_is_passed_over(server: OpenAIServer, wait: str) -> None:
    server.script = [Fail(429, "slow down", {"Retry-After": wait}), SEGMENT]
    assert ask(policy_for(server).open()).text == SEGMENT


def test_no_proxy_of_the_environment_stands_between_the_robot_and_itself(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, silent_port: int
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{silent_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert ask(policy_for(server).open()).text == SEGMENT


class TestKey:
    """The API key goes to the server, and nowhere else."""

    KEY = "sk-very-secret-0123456789"

    @pytest.fixture
    def config(self, server: OpenAIServer, tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "key").write_text(self.KEY, encoding="utf-8")
        server.api_key = self.KEY
        return {"api_key_file": str(tmp_path / "key")}

    def test_it_opens_the_server(self, server: OpenAIServer, config: dict[str, Any]) -> None:
        policy = policy_for(server, **config)
        assert policy.check().models == ("test-model",)
        assert ask(policy.open()).text == SEGMENT

    def test_a_wrong_one_names_the_place_to_put_the_right_one(
        self, server: OpenAIServer, config: dict[str, Any]
    ) -> None:
        server.api_key = "another"
        with pytest.raises(RunFailed, match=rf"refuses the API key .* put the right one into {config['api_key_file']}"):
            policy_for(server, **config).check()

    @pytest.mark.parametrize(
        "step",
        [
            SEGMENT,
            Fail(401, f"Incorrect API key provided: {KEY}"),
            Fail(400, f"Bearer {KEY} sent something wrong"),
            Fail(500, f"{KEY} crashed it"),
            Say(after=3, then=f"{KEY} in the middle"),
            Say(after=3, then="drop"),
            Raw(b"data: {" + KEY.encode()),
        ],
    )
    def test_it_reaches_no_log_and_no_message(
        self, server: OpenAIServer, config: dict[str, Any], caplog: pytest.LogCaptureFixture, step: Step
    ) -> None:
        caplog.set_level(0)  # everything, of every library
        server.script = [step]
        policy = policy_for(server, **config)
        written = [repr(policy), repr(policy.config), str(vars(policy.config))]
        try:
            ask(policy.open())
        except RunFailed as error:
            written += [str(error), repr(error), error.message, str(error.__cause__), str(error.__context__)]
        policy.close()
        written += [record.getMessage() + str(vars(record)) for record in caplog.records]
        assert caplog.records
        assert self.KEY not in "\n".join(written)


def test_a_context_that_leaves_no_room_for_the_reply_is_said_so(server: OpenAIServer) -> None:
    server.context = len(prompt_tokens([{"role": "user", "content": "where is it?"}])) + 1
    failed = failure(server)
    assert failed.code is TOO_LONG
    assert "left room for 1 tokens of reply" in failed.message
