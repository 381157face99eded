"""How weights are held in training: in 4 bits, with which attention; what is missing is named before anything loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import torch
from training_cases import LORA, sft_recipe
from transformers import AutoModelForImageTextToText

from rsagent_training.trainer import loading
from rsagent_training.trainer.policy_model import load_policy_model


class Asked(Exception):
    """Instead of a model."""


def asked_for(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `from_pretrained` is given."""
    given: dict[str, Any] = {}

    def from_pretrained(folder: Path, **named: Any) -> None:
        given.update(named)
        raise Asked

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", from_pretrained)
    with pytest.raises(Exception, match="can't be loaded"):
        load_policy_model(recipe)
    return given


def test_weights_are_as_they_are_unless_the_recipe_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = asked_for(sft_recipe(tmp_path), monkeypatch)
    assert given["attn_implementation"] == "sdpa"
    assert "quantization_config" not in given


def test_qlora_is_nf4_quantised_twice_but_for_what_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "is_bitsandbytes_available", lambda: True)
    recipe = sft_recipe(tmp_path, lora=LORA | {"four_bit": True}, optimisation={"precision": "bfloat16"})
    given = asked_for(recipe, monkeypatch)
    config = given["quantization_config"]
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert config.bnb_4bit_compute_dtype is torch.bfloat16
    assert config.llm_int8_skip_modules == ["model.visual", "lm_head"]
    assert given["device_map"] == {"": torch.device("cpu")}


def test_without_bitsandbytes_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "is_bitsandbytes_available", lambda: False)
    recipe = sft_recipe(tmp_path, lora=LORA | {"four_bit": True})
    with pytest.raises(ValueError, match=r"lora\.four_bit needs bitsandbytes, .*pip install bitsandbytes"):
        load_policy_model(recipe)


def test_another_attention_is_asked_for_and_one_that_can_not_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "is_flash_attn_2_available", lambda: False)
    with pytest.raises(ValueError, match=r"flash_attention_2, which needs a CUDA GPU and flash-attn: pip install"):
        load_policy_model(sft_recipe(tmp_path, optimisation={"attention": "flash_attention_2"}))
    eager = load_policy_model(sft_recipe(tmp_path, optimisation={"attention": "eager"}))
    assert eager.model.config._attn_implementation == "eager"
    given = asked_for(sft_recipe(tmp_path, optimisation={"attention": "eager"}), monkeypatch)
    assert given["attn_implementation"] == "eager"


def test_a_run_in_four_bits_where_bitsandbytes_is_installed(tmp_path: Path) -> None:
    """On the CPU, too, where bitsandbytes knows it: an adapter is trained, and its checkpoint is merged."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from training_cases import write_some

    from rsagent_ros.policies.local import LocalConfig, load_local_policy
    from rsagent_training import sft
    from rsagent_training.merge import merge

    write_some(tmp_path / "t", 4)
    recipe = sft_recipe(tmp_path / "t", epochs=6, lora=LORA | {"four_bit": True}, optimisation={"learning_rate": 1e-2})
    model: Any = load_policy_model(recipe).model
    assert type(model.model.language_model.layers[0].self_attn.q_proj).__name__ == "Linear4bit"
    assert type(model.model.visual.blocks[0].attn.qkv).__name__ == "Linear"
    sft.train(recipe, tmp_path / "out")
    import json

    losses = [row["loss"] for row in json.loads((tmp_path / "out" / "curve.json").read_bytes()) if "loss" in row]
    assert losses[-1] < losses[0] - 0.3
    load_local_policy(LocalConfig(str(merge(tmp_path / "out", tmp_path / "merged")), device="cpu", side=112))
