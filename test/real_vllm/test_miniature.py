"""The trained miniature behind vLLM: what it says there is what it says in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_talk import ask, noise, user
from real_vllm.episodes import MINIATURE, SIDE, behind, in_process, play, scenes
from real_vllm.padded import save_padded
from real_vllm.serving import KEY, RSAGENT_SERVE, Serving, serving

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.parsing import parse
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy

pytestmark = pytest.mark.timeout(900)
CONTEXT = 4096


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("miniature")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    """The miniature with heads that vLLM has kernels for on a CPU."""
    save_padded(MINIATURE, folder / "miniature")
    return folder / "miniature"


@pytest.fixture(scope="module")
def served(folder: Path, checkpoint: Path) -> Iterator[Serving]:
    recipe: dict[str, Any] = {"model": str(checkpoint), "served_name": "miniature", "side": SIDE, "context": CONTEXT}
    with serving(folder, RSAGENT_SERVE, **recipe) as server:
        yield server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSAGENT_API_KEY", KEY)


def policy(served: Serving, **settings: Any) -> ChatServerPolicy:
    options: dict[str, Any] = {
        "model": "miniature",
        "base_url": served.url,
        "family": "qwen3_vl",
        "constrained": False,
        "side": SIDE,
    }
    return ChatServerPolicy(ChatServerConfig(**options | settings))


def test_replies_and_ids_are_those_in_this_process(served: Serving, checkpoint: Path) -> None:
    about = scenes(40)
    with in_process(checkpoint) as here:
        expected = play(here, about)
    with behind(served.url, logprobs=True) as there:
        got = play(there, about)
    assert [[turn.reply for turn in turns] for turns in got] == [[turn.reply for turn in turns] for turns in expected]
    assert [[turn.token_ids for turn in turns] for turns in got] == [
        [turn.token_ids for turn in turns] for turns in expected
    ]
    for ours, theirs in zip(sum(expected, ()), sum(got, ()), strict=True):
        assert ours.logprobs is not None
        assert theirs.logprobs is not None
        np.testing.assert_allclose(theirs.logprobs, ours.logprobs, atol=1e-3)
        assert (theirs.prompt_tokens, theirs.sampled_tokens) == (ours.prompt_tokens, ours.sampled_tokens)
    assert all(parse(turn.reply) for turns in got for turn in turns)


def test_eight_in_flight_say_what_one_at_a_time_does(served: Serving) -> None:
    about = scenes(24)
    with behind(served.url) as there:
        one, eight = play(there, about), play(there, about, in_flight=8)
    assert [[turn.reply for turn in turns] for turns in eight] == [[turn.reply for turn in turns] for turns in one]


def test_a_growing_chat_is_read_once(served: Serving, record_property: Callable[[str, object], None]) -> None:
    conversation = policy(served).open()
    replies = [ask(conversation, user("Where is the red disc? " * 60, noise(SIDE, SIDE)), max_tokens=24)]
    for turn in range(7):
        replies.append(ask(conversation, user("And now?", noise(SIDE, SIDE, seed=turn)), max_tokens=24))
    known = [reply.prompt_tokens + reply.sampled_tokens for reply in replies[:-1]]
    cached = [reply.cached_tokens for reply in replies[1:]]
    record_property("prefix_share", sum(cached) / sum(known))
    assert sum(cached) >= 0.95 * sum(known)


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({"model": "minature"}, ErrorCode.MODEL_UNAVAILABLE, "serves miniature; 'minature' is not among them"),
        ({"api_key_env": "NO_SUCH"}, ErrorCode.MODEL_UNAVAILABLE, r"refuses the API key \(401"),
    ],
)
def test_a_wrong_name_and_no_key_are_told_at_the_check(
    served: Serving, settings: dict[str, Any], code: ErrorCode, sentence: str
) -> None:
    with pytest.raises(RunFailed, match=sentence) as caught:
        policy(served, **settings).check()
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("words", "pictures", "max_tokens", "sentence"),
    [
        (CONTEXT, 0, 16, "the chat is too long for the model"),
        (1, 13, 16, "more pictures than the model server takes"),
        (1, 0, 2 * CONTEXT, "the chat is too long for the model|left room for"),
    ],
)
def test_what_does_not_fit_is_a_context_too_long(
    served: Serving, words: int, pictures: int, max_tokens: int, sentence: str
) -> None:
    shown = [noise(SIDE, SIDE, seed=number) for number in range(pictures)]
    with pytest.raises(RunFailed, match=sentence) as caught:
        ask(policy(served, max_images=100).open(), user("ab " * words, *shown), max_tokens=max_tokens)
    assert caught.value.code is ErrorCode.CONTEXT_TOO_LONG


def test_a_chat_that_leaves_no_room_for_a_reply_is_a_context_too_long(served: Serving) -> None:
    long = "ab" * 100
    each = (ask(policy(served).open(), user(long * 2), max_tokens=1).prompt_tokens
            - ask(policy(served).open(), user(long), max_tokens=1).prompt_tokens)  # fmt: skip
    first = ask(policy(served).open(), user(long), max_tokens=1).prompt_tokens
    fits = long * (1 + (CONTEXT - 2 - first) // each)
    left = CONTEXT - ask(policy(served).open(), user(fits), max_tokens=1).prompt_tokens
    fits += "ab" * ((left - 2) * 100 // each)
    with pytest.raises(RunFailed, match=r"left room for|too long") as caught:
        ask(policy(served).open(), user(fits), max_tokens=512)
    assert caught.value.code is ErrorCode.CONTEXT_TOO_LONG


def test_a_vocabulary_of_phrases_is_told_where_the_grammar_bars_them(
    served: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    policy(served, constrained=True).check(engine_seconds=120.0)
    assert "bars tokens that its grammar allows" in caplog.text
