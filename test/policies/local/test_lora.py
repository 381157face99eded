"""LoRA adapters: merged into their base, refused by any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")
pytest.importorskip("peft", reason="the extra [models] is not installed")

import torch
from local_cases import ask, tiny_folder, turns
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.policies.family import QWEN2_5_VL, QWEN3_VL, Family
from rsagent_ros.policies.local import LocalConfig, load_local_policy


def save_adapter(folder: Path, family: Family = QWEN2_5_VL, base_name: str = "", **options: Any) -> torch.nn.Module:
    """A random adapter for the tiny checkpoint of a family, and the adapted model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = AutoModelForImageTextToText.from_pretrained(tiny_folder(family))
        settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, **options)
        adapted = get_peft_model(base, settings)
    adapted.save_pretrained(str(folder))
    if base_name:
        rewrite(folder, base_model_name_or_path=base_name)
    return adapted.eval()


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def config(folder: Path, lora: Path) -> LocalConfig:
    return LocalConfig(str(folder), lora=str(lora), device="cpu", side=224)


def test_it_changes_what_is_said_as_the_adapter_would(tmp_path: Path) -> None:
    adapted = save_adapter(tmp_path / "red-mugs")
    policy = load_local_policy(config(tiny_folder(QWEN2_5_VL), tmp_path / "red-mugs"))
    assert policy.name == "local/tiny-qwen2_5_vl+red-mugs"
    conversation = policy.open()
    reply = ask(conversation, turns(QWEN2_5_VL)[0])
    plain = load_local_policy(LocalConfig(str(tiny_folder(QWEN2_5_VL)), device="cpu", side=224))
    assert reply.token_ids != ask(plain.open(), turns(QWEN2_5_VL)[0]).token_ids
    layout = conversation.transcript.layout()
    pixels = [
        policy.checkpoint.patches.cut(seen.pixels, torch.device("cpu"), torch.float32) for seen in layout.pictures
    ]
    with torch.no_grad():
        logits = adapted(
            input_ids=torch.tensor([layout.ids]),
            position_ids=torch.from_numpy(layout.positions)[:, None],
            pixel_values=torch.cat(pixels),
            image_grid_thw=torch.tensor([[1, 2 * seen.rows, 2 * seen.columns] for seen in layout.pictures]),
        ).logits[0]
    said = len(reply.token_ids or ())
    wanted = logits.log_softmax(dim=-1)[-said - 1 : -1].gather(1, torch.tensor(reply.token_ids)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(reply.logprobs), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["Somebody/tiny-qwen2_5_vl", "/elsewhere/Tiny-Qwen2_5_VL", ""])
def test_its_base_may_have_been_elsewhere(tmp_path: Path, name: str) -> None:
    save_adapter(tmp_path / "lora", base_name=name)
    load_local_policy(config(tiny_folder(QWEN2_5_VL), tmp_path / "lora"))


def test_the_hub_cache_keeps_the_name_above_the_files(tmp_path: Path) -> None:
    save_adapter(tmp_path / "lora", base_name="Qwen/Some-VL")
    cached = tmp_path / "models--Qwen--Some-VL" / "snapshots" / "0a1b"
    shutil.copytree(tiny_folder(QWEN2_5_VL), cached)
    load_local_policy(config(cached, tmp_path / "lora"))


def refused(lora: Path, family: Family = QWEN2_5_VL) -> str:
    with pytest.raises(RunFailed) as failed:
        load_local_policy(config(tiny_folder(family), lora))
    assert failed.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(lora) in failed.value.message
    assert "\n" not in failed.value.message
    return failed.value.message


def test_another_base_by_name(tmp_path: Path) -> None:
    save_adapter(tmp_path / "lora", base_name="Qwen/Qwen2.5-VL-7B-Instruct")
    message = refused(tmp_path / "lora")
    assert "was trained on 'Qwen/Qwen2.5-VL-7B-Instruct', not on" in message
    assert "put its folder into adapter_config.json as base_model_name_or_path" in message


def test_another_base_by_its_sizes(tmp_path: Path) -> None:
    save_adapter(tmp_path / "lora", QWEN3_VL, str(tiny_folder(QWEN2_5_VL)), layers_to_transform=[1])
    rewrite(tmp_path / "lora", layers_to_transform=None)
    assert "of which" in refused(tmp_path / "lora")
    save_adapter(tmp_path / "other", base_name=str(tiny_folder(QWEN2_5_VL)))
    rewrite(tmp_path / "other", r=8)
    assert "does not fit" in refused(tmp_path / "other")
    save_adapter(tmp_path / "third", base_name=str(tiny_folder(QWEN2_5_VL)))
    rewrite(tmp_path / "third", target_modules=["w_proj"])
    assert "does not fit" in refused(tmp_path / "third")


def test_what_is_no_adapter(tmp_path: Path) -> None:
    assert "has no adapter_config.json; name the folder of a LoRA adapter" in refused(tmp_path)
    save_adapter(tmp_path / "lora")
    rewrite(tmp_path / "lora", peft_type="IA3")
    assert "of the type 'IA3', not LORA" in refused(tmp_path / "lora")
    (tmp_path / "lora" / "adapter_config.json").write_text("{")
    assert "is damaged" in refused(tmp_path / "lora")
    save_adapter(tmp_path / "cut")
    weights = tmp_path / "cut" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "is damaged" in refused(tmp_path / "cut")
