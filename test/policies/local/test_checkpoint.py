"""A checkpoint that is not as it should be: one sentence that names the file, and the next one loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from local_cases import tiny_folder
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.policies.family import FAMILIES, QWEN2_5_VL, QWEN3_VL, Family
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_ros.policies.local.checkpoint import load_checkpoint
from rsagent_ros.weights.tiny import tiny_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(tiny_folder(QWEN2_5_VL), tmp_path / "broken"))


def rewrite(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    for key, value in changes.items():
        place, _, last = key.rpartition("__")
        (content[place] if place else content)[last] = value
    path.write_text(json.dumps(content))


def lose_special_tokens(folder: Path) -> None:
    plain = tiny_tokenizer().to_str().replace('"special":true', '"special":false')
    Tokenizer.from_str(plain).save(str(folder / "tokenizer.json"))


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def lose_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    norms = [name for name in tensors if "norm" in name]
    save_file(
        {name: tensor for name, tensor in tensors.items() if name not in norms},
        folder / "model.safetensors",
        {"format": "pt"},
    )


def change_a_shape(folder: Path) -> None:
    rewrite(folder / "config.json", text_config__intermediate_size=100)


def name_a_missing_shard(folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def other_patches(folder: Path) -> None:
    rewrite(folder / "preprocessor_config.json", patch_size=16)


def no_picture_part(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text('{"image_processor": null}')


def only_pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def another_tokenizer(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"word{number}" for number in range(200)])
    tokenizer.save(str(folder / "tokenizer.json"))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda at: (at / "config.json").unlink(), "config.json is missing; copy the"),
    "config is no JSON": (
        lambda at: (at / "config.json").write_text("{"),
        r"config.json can't be read as JSON .*; copy the",
    ),
    "config is a list": (lambda at: (at / "config.json").write_text("[]"), "config.json holds no JSON object; copy"),
    "another architecture": (
        lambda at: rewrite(at / "config.json", model_type="llava"),
        r"config.json: the model type is 'llava'; this agent knows qwen2_5_vl \(Qwen2.5-VL\) or qwen3_vl .*; use",
    ),
    "no model type": (lambda at: rewrite(at / "config.json", model_type=""), "config.json: the model type is ''"),
    "config of wrong kind": (
        lambda at: rewrite(at / "config.json", text_config__hidden_size="wide"),
        r"config.json: .*hidden_size.*; use a checkpoint of one of these families",
    ),
    "no tokenizer": (
        lambda at: (at / "tokenizer.json").unlink(),
        "tokenizer.json is missing; copy the",
    ),
    "tokenizer damaged": (lambda at: (at / "tokenizer.json").write_text("{}"), r"tokenizer.json is not a tokenizer"),
    "tokenizer without special tokens": (
        lose_special_tokens,
        r"has no special token <\|im_start\|>; use the tokenizer",
    ),
    "tokenizer of another model": (another_tokenizer, r"tokenizer.json does not belong to this model: config.json has"),
    "no preprocessor": (
        lambda at: (at / "preprocessor_config.json").unlink(),
        "has neither preprocessor_config.json nor processor_config.json; copy",
    ),
    "preprocessor of another model": (
        other_patches,
        r"preprocessor_config.json does not belong to this model: .*14.*16",
    ),
    "preprocessor without colours": (
        lambda at: rewrite(at / "preprocessor_config.json", image_mean=0.5),
        "image_mean and image_std of three numbers are needed",
    ),
    "preprocessor with colours in words": (
        lambda at: rewrite(at / "preprocessor_config.json", image_mean=["a", "b", "c"]),
        "preprocessor_config.json does not belong .* image_mean and image_std of three numbers are needed",
    ),
    "processor without pictures": (no_picture_part, "processor_config.json does not belong to this model: .*14.*None"),
    "no weights": (only_pickles, r"model.safetensors is missing \(weights are read from safetensors only\); copy"),
    "weights cut short": (cut_short, r"model.safetensors is cut short or damaged .*; copy the checkpoint again"),
    "weights empty": (
        lambda at: (at / "model.safetensors").write_bytes(b""),
        "model.safetensors is cut short or damaged",
    ),
    "a shard is missing": (
        name_a_missing_shard,
        "model-00001-of-00002.safetensors is missing .*; copy the checkpoint again",
    ),
    "a tensor is missing": (lose_a_tensor, r"lack \d+ tensors of the model .* such as .*; copy the checkpoint again"),
    "a tensor of another shape": (change_a_shape, r"mlp.\w+.weight has the shape \(.*\), not \(.*\); copy the"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_checkpoint_is_told_in_one_sentence(folder: Path, case: str) -> None:
    break_it, sentence = BROKEN[case]
    break_it(folder)
    with pytest.raises(RunFailed, match=sentence) as failed:
        load_local_policy(LocalConfig(str(folder), device="cpu"))
    assert failed.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert "\n" not in failed.value.message
    assert str(folder) in failed.value.message
    # ... and once the folder is right, the same call succeeds.
    shutil.rmtree(folder)
    shutil.copytree(tiny_folder(QWEN2_5_VL), folder)
    assert load_checkpoint(LocalConfig(str(folder), device="cpu")).name == "broken"


def test_nothing_is_downloaded() -> None:
    with pytest.raises(RunFailed, match=r"no folder Qwen/Qwen2.5-VL-7B-Instruct; nothing is downloaded .* fetch"):
        load_local_policy(LocalConfig("Qwen/Qwen2.5-VL-7B-Instruct"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(RunFailed, match=r"the device 'cuda' is not there: .*; use auto, cpu") as failed:
        load_local_policy(LocalConfig(str(tiny_folder(QWEN2_5_VL)), device="cuda"))
    assert failed.value.code is ErrorCode.MODEL_UNAVAILABLE


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no more"), MemoryError()], ids=repr)
@pytest.mark.parametrize("where", ["torch.nn.Module.to", "transformers.AutoModelForImageTextToText.from_pretrained"])
def test_weights_that_do_not_fit_into_memory(error: Exception, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(where, full)
    with pytest.raises(
        RunFailed, match=r"\(0\.0 GiB\) do not fit into the free memory of cpu; end what else"
    ) as failed:
        load_checkpoint(LocalConfig(str(tiny_folder(QWEN2_5_VL)), device="cpu"))
    assert failed.value.code is ErrorCode.OUT_OF_MEMORY


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_is_loaded(family: Family) -> None:
    checkpoint = load_checkpoint(LocalConfig(str(tiny_folder(family)), device="cpu"))
    assert checkpoint.family == family
    assert checkpoint.model.dtype == torch.float32
    assert not checkpoint.model.training
    assert checkpoint.context == 16384
    assert checkpoint.logits == checkpoint.vocabulary.size
    half = load_checkpoint(LocalConfig(str(tiny_folder(family)), device="cpu", dtype="bfloat16"))
    assert half.model.dtype == torch.bfloat16


def test_pictures_may_be_described_by_the_newer_file(folder: Path) -> None:
    older = folder / "preprocessor_config.json"
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(older.read_text())}))
    older.unlink()
    assert load_checkpoint(LocalConfig(str(folder), device="cpu")).patches.patch == 14


def test_smaller_patches_mean_smaller_multiples(folder: Path) -> None:
    rewrite(folder / "config.json", vision_config__patch_size=7)
    rewrite(folder / "preprocessor_config.json", patch_size=7)
    tensors = load_file(folder / "model.safetensors")
    (name,) = [name for name in tensors if name.endswith("patch_embed.proj.weight")]
    tensors[name] = tensors[name][..., :7, :7].contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    policy = load_local_policy(LocalConfig(str(folder), device="cpu", side=70))
    assert (policy.pictures.multiple, policy.checkpoint.family.picture_tokens(70, 14)) == (14, 5)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"checkpoint": ""}, "checkpoint is empty"),
        ({"dtype": "int8"}, "dtype is 'int8'; allowed: auto"),
        ({"side": 0}, "side is 0"),
        ({"context": 0}, "context is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_p": 0}, "top_p is 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
    ],
)
def test_a_config_that_can_not_be(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LocalConfig(**{"checkpoint": "models/some", **wrong})


def test_a_family_is_not_loaded_with_the_others_files(folder: Path) -> None:
    shutil.copy(tiny_folder(QWEN3_VL) / "preprocessor_config.json", folder)
    with pytest.raises(RunFailed, match=r"preprocessor_config\.json does not belong to this model"):
        load_local_policy(LocalConfig(str(folder), device="cpu"))
    shutil.copy(tiny_folder(QWEN2_5_VL) / "preprocessor_config.json", folder)
    shutil.copy(tiny_folder(QWEN3_VL) / "model.safetensors", folder)
    with pytest.raises(RunFailed, match=r"the weights in .*; copy the checkpoint again"):
        load_local_policy(LocalConfig(str(folder), device="cpu"))
