"""Loading a folder of SAM 3: what is wrong with one becomes one sentence, and nothing is downloaded."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from safetensors.torch import load_file, save_file

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.segmenters.sam3 import open_sam3
from rsagent_ros.segmenters.sam3_config import Sam3Config
from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2
from rsagent_ros.weights.tiny_sam3 import save_tiny_sam3


def on_cpu(checkpoint: Path) -> Sam3Config:
    return Sam3Config(str(checkpoint), device="cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_sam3(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of a good checkpoint, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def test_nothing_is_asked_of_the_network(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    open_sam3(on_cpu(made)).warm_up()


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def refused(folder: Path, sentence: str, file: str = "") -> None:
    with pytest.raises(RunFailed, match=sentence) as failure:
        open_sam3(on_cpu(folder))
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(folder / file) in failure.value.message
    assert "\n" not in failure.value.message


def test_no_weights(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "is no folder with a checkpoint; get one with `rsagent models fetch NAME`")
    (folder / "model.safetensors").unlink()
    refused(folder, "is missing", "model.safetensors")


def test_another_architecture(tmp_path: Path) -> None:
    save_tiny_sam2(tmp_path / "sam2")
    refused(tmp_path / "sam2", "'sam2', which is no whole SAM 3 .*or choose the segmenter sam2", "config.json")


@pytest.mark.parametrize("part", ["detector_config", "tracker_config"])
def test_a_configuration_with_nonsense_inside(folder: Path, part: str) -> None:
    change(folder / "config.json", lambda config: config[part]["mask_decoder_config"].update(hidden_size="many"))
    refused(folder, "describes no SAM 3", "config.json")
    change(folder / "config.json", lambda config: config.pop(part))
    refused(folder, f"describes no SAM 3 .*{part} is missing", "config.json")


@pytest.mark.parametrize("name", ["tracker_neck.fpn_layers.0.proj1.bias", "detector_model.text_projection.bias"])
def test_weights_that_are_missing(folder: Path, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    refused(folder, "1 weights are missing in the safetensors")


def test_a_tokenizer_that_is_missing_damaged_or_of_another_model(folder: Path) -> None:
    tokens = folder / "tokenizer.json"
    whole = tokens.read_text()
    tokens.write_text(whole[:100])
    refused(folder, "the tokenizer in .* can't be read")
    tokens.unlink()
    refused(folder, "has no tokenizer: none of .*tokenizer.json is there")
    tokens.write_text(whole)
    change(tokens, lambda content: content["model"]["vocab"].update({f"word{n}": 5000 + n for n in range(9)}))
    refused(folder, "it is another model's")
