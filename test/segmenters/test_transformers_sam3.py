"""Loading a folder of SAM 3: what is wrong with one becomes one sentence, and nothing is downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from checkpoint_faults import assert_refused, change, forbid_network
from safetensors.torch import load_file, save_file

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
    forbid_network(monkeypatch)
    open_sam3(on_cpu(made)).warm_up()


def refused(folder: Path, sentence: str, file: str = "") -> None:
    assert_refused(lambda path: open_sam3(on_cpu(path)), folder, sentence, file)


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
