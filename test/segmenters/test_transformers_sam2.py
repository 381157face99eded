"""Loading a checkpoint folder: what is published works, what is wrong becomes one sentence, nothing is downloaded."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from checkpoint_faults import assert_refused, change, forbid_network
from safetensors.torch import load_file, save_file
from sam2_cases import BOX, picture
from transformers import Sam2VideoConfig, Sam2VideoModel

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.segmenter import MaskPrompt
from rsagent_ros.segmenters.sam2 import Sam2Segmenter, open_sam2
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.weights.tiny_sam2 import WIDTH, save_tiny_sam2, save_tiny_sam3_tracker

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("made") / "tiny"
    save_tiny_sam2(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of a good checkpoint, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "tiny"))


def opened(folder: Path, device: str = "cpu") -> Sam2Segmenter:
    return open_sam2(Sam2Config(str(folder), device=device))


def refused(folder: Path, sentence: str, file: str = "") -> None:
    assert_refused(opened, folder, sentence, file)


def answer(segmenter: Sam2Segmenter) -> np.ndarray:
    (candidate,) = segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(box=BOX))
    return candidate.logits


def same(one: Sam2Segmenter, other: Sam2Segmenter) -> bool:
    """Equal but for rounding: where in memory a file puts a weight changes the order of sums."""
    return np.allclose(answer(one), answer(other), atol=1e-5)


def test_nothing_is_asked_of_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_network(monkeypatch)
    opened(folder)


def test_checkpoints_of_the_video_form_load_as_most_are_published(made: Path, tmp_path: Path) -> None:
    parts = json.loads((made / "config.json").read_text())
    small: dict[str, Any] = {
        "memory_attention_hidden_size": WIDTH, "memory_attention_num_layers": 1, "memory_encoder_hidden_size": WIDTH,
        "memory_attention_feed_forward_hidden_size": WIDTH, "memory_encoder_output_channels": 16,
        "mask_downsampler_embed_dim": WIDTH, "memory_fuser_embed_dim": WIDTH, "memory_fuser_intermediate_dim": WIDTH,
    }  # fmt: skip
    names = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    video = Sam2VideoModel(Sam2VideoConfig(image_size=256, **{name: parts[name] for name in names}, **small))
    video.load_state_dict(load_file(made / WEIGHTS), strict=False)
    video.save_pretrained(tmp_path / "video")
    assert json.loads((tmp_path / "video" / "config.json").read_text())["model_type"] == "sam2_video"
    segmenter = opened(tmp_path / "video")
    assert segmenter.name == "sam2:video"
    assert same(segmenter, opened(made))


def test_the_tracker_is_found_inside_a_whole_sam3(tmp_path: Path) -> None:
    alone, whole = tmp_path / "alone", tmp_path / "whole"
    save_tiny_sam3_tracker(alone)
    shutil.copytree(alone, whole)
    config = {"model_type": "sam3_video", "tracker_config": json.loads((alone / "config.json").read_text())}
    (whole / "config.json").write_text(json.dumps(config))
    weights = {}
    for name, tensor in load_file(alone / WEIGHTS).items():
        for part in ("detector_model.", "tracker_neck."):  # a whole one has these beside the tracker
            name = name.replace(f"tracker_model.{part}", part)
        weights[name] = tensor
    save_file({**weights, "detector_model.text_encoder.weight": torch.zeros(3)}, whole / WEIGHTS, {"format": "pt"})
    segmenter = opened(whole)
    assert segmenter.name == "sam3_tracker:whole"
    assert same(segmenter, opened(alone))


def test_weights_in_several_files(made: Path, folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    names = sorted(weights)
    index: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2])):
        file = f"model-0000{number + 1}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, {"format": "pt"})
        index |= dict.fromkeys(part, file)
    (folder / WEIGHTS).unlink()
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    assert same(opened(folder), opened(made))
    (folder / file).unlink()
    refused(folder, "is missing", file)


def test_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "is no folder with a checkpoint; get one with `rsagent models fetch NAME`")


def test_a_folder_without_a_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()
    refused(folder, "is missing", "config.json")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', '{"model_type": 3}'])
def test_a_configuration_that_is_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    refused(folder, "can't be read as JSON|holds no JSON object|names no model_type", "config.json")


def test_a_checkpoint_of_another_architecture(folder: Path) -> None:
    change(folder / "config.json", lambda config: config.update(model_type="qwen2_5_vl"))
    refused(folder, "'qwen2_5_vl', which is no segmenter for prompts .*such as sam2.1-hiera-large", "config.json")


def test_a_configuration_with_nonsense_inside(folder: Path) -> None:
    change(folder / "config.json", lambda config: config["mask_decoder_config"].update(hidden_size="many"))
    refused(folder, "describes no sam2", "config.json")


def test_no_weights(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    refused(folder, "is missing .*safetensors only", WEIGHTS)


@pytest.mark.parametrize("length", [0, 7, 100, -1, -1000])
def test_weights_that_are_cut_short(folder: Path, length: int) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:length])
    refused(folder, "is cut short or damaged .*copy the checkpoint again", WEIGHTS)


def test_weights_of_other_shapes(folder: Path) -> None:
    change(folder / "config.json", lambda config: config["mask_decoder_config"].update(mlp_dim=96))
    refused(folder, r"the weight mask_decoder\.\S+ is \(128,\) in the safetensors and \(96,\) by config.json")


def test_weights_that_are_missing(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights["mask_decoder.iou_token.weight"]
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    refused(folder, "1 weights are missing in the safetensors, the first is mask_decoder.iou_token.weight")


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"size": {"height": 1024, "width": 1024}}, "makes pictures of .*1024.*config.json wants 256 x 256"),
        ({"image_mean": [0.5]}, "three numbers each"),
        ({"image_std": ["a", "b", "c"]}, "three numbers each"),
    ],
)
def test_a_processor_that_does_not_match(folder: Path, edit: dict[str, Any], sentence: str) -> None:
    change(folder / "preprocessor_config.json", lambda config: config.update(edit))
    refused(folder, sentence, "preprocessor_config.json")


def test_a_processor_without_a_part_for_images(folder: Path) -> None:
    (folder / "processor_config.json").write_text('{"image_processor": null}')
    refused(folder, "its image_processor is no JSON object; copy the checkpoint again", "processor_config.json")


def test_pixels_are_normalised_as_the_checkpoint_says(made: Path, folder: Path) -> None:
    whole = opened(made)
    (folder / "preprocessor_config.json").unlink()
    assert same(opened(folder), whole), "the usual values are SAM 2's"
    processor = {"image_processor": {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    assert not same(opened(folder), whole)


def test_a_device_that_is_not_there(made: Path) -> None:
    with pytest.raises(RunFailed, match="cuda:99") as failure:
        opened(made, device="cuda:99")
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed, so nothing is missing")
def test_an_edgetam_says_what_it_needs(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "edgetam"}))
    refused(folder, "can't be loaded here .*pip install timm, and a torchvision built for the same torch")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("injected"), RuntimeError("CUDA error: out of memory"), MemoryError()],
    ids=repr,
)
def test_weights_too_large_for_the_device(made: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(RunFailed, match="do not fit into the memory of cpu") as failure:
        opened(made)
    assert failure.value.code is ErrorCode.OUT_OF_MEMORY


def test_another_error_on_the_way_to_the_device_is_passed_on(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.nn.Module, "to", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        opened(made)
