"""The trained miniature behind vLLM: what it says there is what it says in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chat_talk import ask, noise, user
from peft import LoraConfig, get_peft_model
from real_vllm.episodes import MINIATURE, SIDE, behind, in_process, play, scenes
from real_vllm.padded import save_padded
from real_vllm.serving import KEY, RSAGENT_SERVE, Serving, serving
from transformers import AutoModelForImageTextToText

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.parsing import parse
from rsagent_ros.data.folder import save_examples
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy
from rsagent_ros.yaml_file import from_plain
from rsagent_training import grpo
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.trainer.run_folder import TrainingStopped

pytestmark = pytest.mark.timeout(900)
CONTEXT = 4096
LORA = {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("miniature")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    """The miniature with heads that vLLM has kernels for on a CPU."""
    save_padded(MINIATURE, folder / "miniature")
    return folder / "miniature"


@pytest.fixture(scope="module")
def adapter(folder: Path, checkpoint: Path) -> Path:
    """An adapter that changes some of what the miniature says."""
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = get_peft_model(model, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data *= 0.5
    adapted.save_pretrained(str(folder / "nudged"))
    return folder / "nudged"


@pytest.fixture(scope="module")
def served(folder: Path, checkpoint: Path, adapter: Path) -> Iterator[Serving]:
    recipe: dict[str, Any] = {"model": str(checkpoint), "served_name": "miniature", "side": SIDE, "context": CONTEXT}
    # On a CPU, vLLM 0.32 decodes requests without an adapter with that of the last slot: it must be an empty one.
    more = ["--max-loras", "2"]
    with serving(folder, RSAGENT_SERVE, more, adapters={"nudged": str(adapter)}, **recipe) as server:
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


def test_an_adapter_is_asked_for_by_name(served: Serving, checkpoint: Path, adapter: Path) -> None:
    about = scenes(20)
    with in_process(checkpoint) as plain, in_process(checkpoint, lora=str(adapter)) as here:
        without, expected = play(plain, about, turns=1), play(here, about, turns=1)
    with behind(served.url, model="nudged") as there:
        got = play(there, about, turns=1)
    assert [turns[0].reply for turns in got] == [turns[0].reply for turns in expected]
    assert [turns[0].reply for turns in got] != [turns[0].reply for turns in without]
    assert policy(served, model="nudged").check().context == CONTEXT


def recipe_for(folder: Path, checkpoint: Path, served: Serving) -> GrpoRecipe:
    save_examples(scenes(4), folder / "scenes")
    return from_plain(
        {
            "checkpoint": str(checkpoint), "mix": [{"scenes": str(folder / "scenes")}], "batch": 2, "samples": 4,
            "steps": 2, "max_turns": 3, "max_reply_tokens": 64, "side": SIDE, "segmenter": "classical", "lora": LORA,
            "beta": 0.0, "server": {"model": "miniature", "base_url": served.url, "in_flight": 4, "timeout": 60.0},
            "optimisation": {
                "learning_rate": 1e-3, "precision": "float32", "checkpointing": False, "device_batch": 2, "cpu": True,
                "save_every": 100, "schedule": "constant", "warmup_share": 0.0,
            },
        },
        GrpoRecipe,
    )  # fmt: skip


def test_grpo_samples_from_the_newest_adapter_and_takes_it_away_at_the_end(
    served: Serving, checkpoint: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    before = policy(served).check().models
    grpo.train(recipe_for(tmp_path, checkpoint, served), tmp_path / "out")
    steps = json.loads((tmp_path / "out" / "curve.json").read_bytes())
    ratios = [step["stale/ratio"] for step in steps if "stale/ratio" in step]
    record_property("stale_ratio", ratios)
    assert len(ratios) == 2
    assert all(abs(ratio - 1) < 0.01 for ratio in ratios)
    assert policy(served).check().models == before


def test_an_adapter_that_is_not_there_is_no_missing_endpoint(
    served: Serving, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peft.PeftModel.save_pretrained", lambda *_, **__: None)
    with pytest.raises(TrainingStopped, match="the server must read the same disk"):
        grpo.train(recipe_for(tmp_path, checkpoint, served), tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({"model": "minature"}, ErrorCode.MODEL_UNAVAILABLE, "serves miniature, nudged; 'minature' is not among them"),
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
