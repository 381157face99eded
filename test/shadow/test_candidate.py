"""A candidate's file: what it says, and what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rsagent_ros.backends import DEFAULTS, Choice
from rsagent_ros.shadow.candidate import CandidateModels, read_candidate

TEXT = """
policy: local
segmenter: sam2
view_side: 512
settings:
  local.checkpoint: /models/qwen
  local.lora: /models/adapter
  local.temperature: 1
  sam2.checkpoint: /models/sam2
calibration: /models/calibration.json
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "candidate.yaml"
    path.write_text(text)
    return path


def test_a_file_is_a_choice(tmp_path: Path) -> None:
    candidate = read_candidate(written(tmp_path, TEXT))
    assert (candidate.choice.policy, candidate.choice.segmenter, candidate.choice.view_side) == ("local", "sam2", 512)
    assert candidate.choice.settings["local.lora"] == "/models/adapter"
    assert candidate.choice.settings["local.temperature"] == 1.0
    assert isinstance(candidate.choice.settings["local.temperature"], float)
    assert candidate.calibration == "/models/calibration.json"
    assert candidate.name == "local (/models/adapter) and sam2, 512 pixels"
    assert read_candidate(written(tmp_path, candidate.text())) == candidate


def test_what_is_left_out_is_at_its_default(tmp_path: Path) -> None:
    assert read_candidate(written(tmp_path, "{}")) == CandidateModels(Choice())


def test_what_makes_no_difference_makes_none() -> None:
    plain = CandidateModels(Choice())
    assert CandidateModels(Choice(settings=DEFAULTS)) == plain
    assert CandidateModels(Choice(settings={"local.lora": "/elsewhere"})) == plain
    assert CandidateModels(Choice(settings=DEFAULTS)).fingerprint == plain.fingerprint
    assert CandidateModels(Choice(view_side=512)).fingerprint != plain.fingerprint
    assert CandidateModels(Choice(), "calibration.json").fingerprint != plain.fingerprint


def test_an_adapter_that_is_trained_again_in_its_place_is_another_one(tmp_path: Path) -> None:
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(b"old")
    candidate = CandidateModels(Choice("local", settings={"local.lora": str(tmp_path)}))
    before = candidate.fingerprint
    assert candidate.fingerprint == before
    weights.write_bytes(b"new")
    os.utime(weights, ns=(1, 1))
    assert candidate.fingerprint != before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("policy: telepathy", "there is no policy 'telepathy'; choose one of chat_server, local"),
        ("polcy: local", "there is no polcy; there are policy, segmenter,"),
        ("- policy", "it must be a mapping of names to values"),
        ("policy: [", "while parsing"),
        ("view_side: 3", "view_side is 3; allowed: 64 to 4096 pixels"),
        ("settings: {lora: /a}", "there is no setting 'lora'; write it as in docs/parameters.md"),
        ("settings: {local.checkpoint: 7}", "local.checkpoint is 7; it must be of the kind of ''"),
        ("settings: {local.context: true}", "local.context is True; it must be of the kind of 8192"),
        ("settings: {local.temperature: 11}", "local.temperature is 11.0; allowed: 0 to 10"),
        ("fallback_policy: reference", "a fallback stands in for chat_server"),
        ("policy: " + "x" * 100_000, "larger than 100000 bytes"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_path(tmp_path: Path, text: str, told: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match="candidate") as caught:
        read_candidate(path)
    assert str(path) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.yaml: No such file or directory; docs/shadow\.md"):
        read_candidate(tmp_path / "none.yaml")
