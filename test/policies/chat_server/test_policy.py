from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")

from chat_talk import ask, policy_for
from fakes import SEGMENT
from openai_server import OpenAIServer

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chat_server"]


def test_it_is_named_after_its_model() -> None:
    assert ChatServerPolicy(ChatServerConfig("Qwen/Qwen3-VL-8B")).name == "chat_server:Qwen/Qwen3-VL-8B"


def test_a_healthy_server_says_what_it_serves_and_how_much_fits(server: OpenAIServer) -> None:
    server.models = ["base", "test-model"]
    served = policy_for(server).check()
    assert (served.models, served.context) == (("base", "test-model"), 16_384)


def test_a_server_without_health_path_is_healthy_when_it_lists_models() -> None:
    with OpenAIServer(plain=True) as server:
        assert policy_for(server).check().models == ("test-model",)


def test_a_server_that_keeps_no_list_may_serve_anything(server: OpenAIServer) -> None:
    server.models = []
    assert policy_for(server).check().models == ()


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (["a", "b"], "serves a, b; 'test-model' is not among them"),
        ([f"m{number}" for number in range(99)], r"serves m0, .*, m9, \.\.\.; 'test-model' is not among them"),
    ],
)
def test_a_model_that_is_not_served_is_found_before_the_first_goal(
    server: OpenAIServer, models: list[str], sentence: str
) -> None:
    server.models = models
    with pytest.raises(RunFailed, match=sentence) as caught:
        policy_for(server).check()
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_a_sick_server_is_found(server: OpenAIServer) -> None:
    server.healthy = False
    with pytest.raises(RunFailed, match=r"is busy or not ready \(503"):
        policy_for(server).check()


def test_a_hung_engine_behind_good_health_is_found(server: OpenAIServer) -> None:
    server.engine_hangs = True
    with pytest.raises(RunFailed, match=r"gave no token within 0.5 s.*restart it") as caught:
        policy_for(server).check(engine_seconds=0.5)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


@pytest.mark.parametrize(
    "models",
    [
        b'{"data": [{"id": "test-model", "max_model_len": "16k", "parent": 3}]}',
        b'{"data": [{"object": "model"}, 3, {"id": "test-model"}, {"id": null}]}',
        b'{"data": null}',
        b'{"object": "list"}',
    ],
)
def test_facts_that_are_not_needed_may_be_odd(
    server: OpenAIServer, models: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "card", models)
    assert policy_for(server).check().context is None


def test_a_server_that_is_away_is_found(server: OpenAIServer) -> None:
    server.stop()
    with pytest.raises(RunFailed, match="can't be reached"):
        policy_for(server).check()


def test_something_else_on_the_port_is_found(server: OpenAIServer) -> None:
    with pytest.raises(RunFailed, match="base_url usually ends in /v1"):
        policy_for(server, base_url=server.url + "/wrong").check()


def test_a_list_that_is_none_is_found(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "models", [3])
    with pytest.raises(RunFailed, match="does not answer as OpenAI's protocol says"):
        policy_for(server).check()


def test_a_check_does_not_wait_longer_than_it_may(silent_port: int) -> None:
    policy = ChatServerPolicy(ChatServerConfig("m", f"http://127.0.0.1:{silent_port}/v1"))
    with pytest.raises(RunFailed, match=r"did not answer within 0.2 s"):
        policy.check(0.2)


def test_a_policy_that_nobody_holds_any_more_ends_its_thread(server: OpenAIServer) -> None:
    before = set(threads())
    policies: list[Any] = [policy_for(server)]
    assert ask(policies[0].open()).text == SEGMENT
    (mine,) = set(threads()) - before
    policies.clear()
    gc.collect()
    mine.join(30)
    assert not mine.is_alive()


def test_a_check_has_the_grammar_compiled_before_the_first_goal(
    server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    policy = policy_for(server)
    policy.check()
    ask(policy.open())
    first, second = server.tried
    assert first.body["structured_outputs"] == server.seen[0].body["structured_outputs"]
    assert first.body["max_completion_tokens"] == 1
    assert second.body["structured_outputs"] != first.body["structured_outputs"]
    assert caplog.text == ""


def test_a_server_that_takes_the_grammar_away_is_told_at_the_check(
    server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.keeps_grammars = False
    policy_for(server).check()
    assert f"the model server at {server.url} passes over the grammar" in caplog.text
    caplog.clear()
    policy_for(server, constrained=False).check()
    assert caplog.text == ""


def test_a_server_whose_grammar_bars_tokens_is_told_at_the_check(
    server: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.bars_tokens = True
    policy_for(server).check()
    assert "bars tokens that its grammar allows" in caplog.text


def test_a_server_of_another_kind_is_asked_as_it_can_be_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with OpenAIServer(plain=True) as server:
        policy = policy_for(server)
        policy.check()
        assert len(server.tried) == 3  # each dialect once
        ask(policy.open())
        assert len(server.seen) == 1
