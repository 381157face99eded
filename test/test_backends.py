"""Policies and segmenters by name: what is chosen is what is opened, and what can't be says so in one sentence."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.segmenter import PhraseSegmenter
from rsagent_ros.backends import DEFAULTS, SETTINGS, Choice, Models, add_arguments, chosen, open_models

SERVER: dict[str, object] = {"chat_server.model": "m"}
FRAME = np.full((96, 128, 3), 127, dtype=np.uint8)


def flags(*words: str) -> Choice:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return chosen(parser.parse_args(words))


def test_the_default_is_the_embedded_one() -> None:
    with open_models(flags()) as models:
        assert (models.policy.name, models.segmenter.name, models.lost) == ("reference", "classical", "")
        assert models.policy.pictures.side == 768


def test_flags_set_what_they_name_and_nothing_else() -> None:
    choice = flags(
        *("--policy", "local", "--segmenter", "sam2", "--view-side", "448"),
        *(
            "--local.checkpoint",
            "/models/qwen",
            "--local.context",
            "4096",
            "--local.compile",
            "--sam2.dtype",
            "float16",
        ),
    )
    assert choice.settings == {
        "local.checkpoint": "/models/qwen",
        "local.context": 4096,
        "local.compile": True,
        "sam2.dtype": "float16",
    }
    assert (choice.policy, choice.segmenter, choice.view_side) == ("local", "sam2", 448)


def test_every_default_is_allowed() -> None:
    assert set(DEFAULTS) == set(SETTINGS)
    assert [name for name, known in SETTINGS.items() if not known.allows(DEFAULTS[name])] == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            {"policy": "telepathy"},
            "there is no policy 'telepathy'; choose one of chat_server, local, reference",
        ),
        ({"segmenter": "scissors"}, "there is no segmenter 'scissors'"),
        ({"fallback_policy": "hope"}, "there is no fallback_policy 'hope'"),
        ({"fallback_policy": "reference"}, "a fallback stands in for chat_server"),
        ({"policy": "chat_server", "fallback_policy": "chat_server"}, "and is another policy"),
        ({"settings": {"local.chekpoint": "x"}}, "there is no setting 'local.chekpoint'"),
        ({"settings": {"local.top_p": 1.5}}, "local.top_p is 1.5; allowed: 1e-06 to 1"),
    ],
)
def test_a_choice_that_can_not_be(words: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Choice(**words)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (Choice(policy="local"), "local.checkpoint is empty; name the folder"),
        (Choice(segmenter="sam2"), "sam2.checkpoint is empty; name a folder"),
        (Choice(segmenter="sam3"), "sam3.checkpoint is empty; name a folder"),
        (Choice(policy="chat_server"), "chat_server.model is empty"),
        (Choice(policy="chat_server", settings=SERVER | {"chat_server.base_url": "x"}), "write it like"),
        (Choice(policy="local", settings={"local.checkpoint": "/nowhere"}), "there is no folder /nowhere"),
    ],
)
def test_what_can_not_be_opened_says_why(choice: Choice, sentence: str) -> None:
    if choice.policy == "local" and choice.settings:
        pytest.importorskip("torch", reason="the policy local needs torch")
    with pytest.raises(RunFailed, match=sentence) as caught:
        open_models(choice)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


@pytest.mark.parametrize(
    ("choice", "module", "extra"),
    [
        (Choice(segmenter="sam2", settings={"sam2.checkpoint": "x"}), "rsagent_ros.segmenters.sam2", "models"),
        (Choice(segmenter="sam3", settings={"sam3.checkpoint": "x"}), "rsagent_ros.segmenters.sam3", "models"),
        (Choice(policy="local", settings={"local.checkpoint": "x"}), "rsagent_ros.policies.local.checkpoint", "models"),
        (
            Choice(policy="chat_server", settings=SERVER),
            "rsagent_ros.policies.chat_server.policy",
            "chat",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    choice: Choice, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RunFailed, match=rf"pip install .*\[{extra}\]") as caught:
        open_models(choice)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def look(models: Models) -> Episode:
    budget = Budget(seconds=60, max_reply_tokens=24)
    episode = Episode(FRAME, "the red mug", models.segmenter, budget, pictures=models.policy.pictures)
    drive(episode, models.policy)
    return episode


def test_tiny_models_on_disk_run_an_episode_to_a_clean_end(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the policy local and the segmenter sam2 need torch")
    from rsagent_ros.policies.family import QWEN2_5_VL
    from rsagent_ros.weights.tiny import save_tiny
    from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2

    save_tiny(QWEN2_5_VL, tmp_path / "qwen")
    save_tiny_sam2(tmp_path / "sam2")
    choice = flags(
        *("--policy", "local", "--local.checkpoint", str(tmp_path / "qwen"), "--local.device", "cpu"),
        *("--segmenter", "sam2", "--sam2.checkpoint", str(tmp_path / "sam2"), "--sam2.device", "cpu"),
        *("--view-side", "140"),
    )
    with open_models(choice) as models:
        assert (models.policy.name, models.segmenter.name) == ("local/qwen", "sam2:sam2")
        assert (models.policy.pictures.side, models.policy.pictures.coordinates) == (140, "pixels")
        episode = look(models)
    # It was never trained, so it talks nonsense; a turn for each of that, and an honest end.
    assert episode.result.outcome is Outcome.GAVE_UP
    assert len(episode.trace.turns) == 8


def test_segmenters_that_take_words_are_opened_by_their_flags(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the segmenters sam2 and sam3 need torch")
    from rsagent_ros.weights.tiny_detectors import save_tiny_mm_grounding_dino
    from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2
    from rsagent_ros.weights.tiny_sam3 import save_tiny_sam3

    save_tiny_sam2(tmp_path / "sam2")
    save_tiny_sam3(tmp_path / "sam3")
    save_tiny_mm_grounding_dino(tmp_path / "dino")
    drawn = ("--segmenter", "sam2", "--sam2.checkpoint", str(tmp_path / "sam2"), "--sam2.device", "cpu")
    with open_models(flags(*drawn)) as models:
        assert not isinstance(models.segmenter, PhraseSegmenter)
    for words, name in (
        ((*drawn, "--sam2.finder", str(tmp_path / "dino")), "sam2:sam2+mm_grounding_dino:dino"),
        (("--segmenter", "sam3", "--sam3.checkpoint", str(tmp_path / "sam3"), "--sam3.device", "cpu"), "sam3:sam3"),
    ):
        with open_models(flags(*words)) as models:
            assert isinstance(models.segmenter, PhraseSegmenter)
            assert models.segmenter.name == name
    with pytest.raises(RunFailed, match="is no detector that takes words") as caught:
        open_models(flags(*drawn, "--sam2.finder", str(tmp_path / "sam3")))
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_a_server_that_is_away_is_said_at_once_or_replaced() -> None:
    pytest.importorskip("openai", reason="the chat server's policy needs the package openai")
    settings = SERVER | {"chat_server.base_url": "http://127.0.0.1:9/v1", "chat_server.retries": 0}
    with pytest.raises(RunFailed, match="can't be reached"):
        open_models(Choice(policy="chat_server", settings=settings))
    with open_models(Choice(policy="chat_server", fallback_policy="reference", settings=settings)) as models:
        episode = look(models)
        assert "can't be reached" in models.lost
    assert episode.result.degraded
    assert episode.result.error_code is ErrorCode.NOT_UNDERSTOOD


def test_closing_breaks_off_what_is_under_way() -> None:
    pytest.importorskip("openai", reason="the chat server's policy needs the package openai")
    from openai_server import OpenAIServer

    with OpenAIServer() as server:
        settings = {"chat_server.model": "test-model", "chat_server.base_url": server.url}
        models = open_models(Choice(policy="chat_server", settings=settings))
        with closing(models.policy.open()):
            models.close()
        with pytest.raises(RuntimeError, match="closed"):
            models.policy.check()  # type: ignore[attr-defined]
