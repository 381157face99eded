"""The computed memory of recipes: sizes are those of the architectures, the shipped recipes fit, sums add up."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rsagent_ros.yaml_file import read_yaml
from rsagent_training.memory import SIZES, ModelSize, table, training_memory
from rsagent_training.recipes import GrpoRecipe, SftRecipe

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config" / "training"
CARD = 23.6
"""GiB of a card of 24 GB, as CUDA sees it."""


def recipes() -> dict[str, SftRecipe | GrpoRecipe]:
    return {
        "sft_one_gpu": read_yaml(CONFIG / "sft_one_gpu.yaml", SftRecipe),
        "grpo_one_gpu": read_yaml(CONFIG / "grpo_one_gpu.yaml", GrpoRecipe),
    }


@pytest.mark.parametrize("name", ["sft_one_gpu", "grpo_one_gpu"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_the_recipes_of_one_gpu_fit_on_it(name: str, size: ModelSize) -> None:
    recipe = recipes()[name]
    parts = training_memory(size, recipe)
    total = parts.pop("total")
    either = [parts.pop("activations"), parts.pop("or cache of the rollouts", 0.0)]
    assert total == pytest.approx(sum(parts.values()) + max(either))
    assert total < 0.92 * CARD
    assert recipe.lora is not None
    smaller = replace(recipe, lora=replace(recipe.lora, four_bit=True))
    assert training_memory(size, smaller)["total"] < total - 3


def test_more_tokens_and_more_episodes_at_a_time_need_more() -> None:
    recipe = recipes()["grpo_one_gpu"]
    assert isinstance(recipe, GrpoRecipe)
    least = training_memory(SIZES[1], recipe)
    longer = training_memory(SIZES[1], replace(recipe, max_tokens=2 * recipe.max_tokens))
    assert longer["activations"] > 1.8 * least["activations"]
    more = training_memory(SIZES[1], replace(recipe, rollout_batch=16))
    assert more["or cache of the rollouts"] == pytest.approx(2 * least["or cache of the rollouts"])


def test_what_is_not_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="this is none"):
        training_memory(SIZES[0], read_yaml(CONFIG / "sft.yaml", SftRecipe))


def test_the_sums_in_the_document_are_those_of_the_program() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for name, recipe in recipes().items():
        assert table(recipe) in text, name
        ran = subprocess.run(
            [sys.executable, "-m", "rsagent_training.memory", str(CONFIG / f"{name}.yaml")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith(table(recipe))
        assert re.search(r"four_bit=true:\n\n\| GiB ", ran.stdout)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_sizes_are_those_of_the_architectures(size: ModelSize) -> None:
    torch = pytest.importorskip("torch", reason="the extra [models] is not installed")
    from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig, Qwen3VLConfig

    text = {
        "hidden_size": size.width, "intermediate_size": size.inner, "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads, "num_key_value_heads": size.kv_heads, "head_dim": size.head_size,
        "vocab_size": size.vocabulary, "tie_word_embeddings": True,
    }  # fmt: skip
    vision = {"hidden_size": size.vision_width, "num_heads": 16, "out_hidden_size": size.width}
    config: Any
    if size.name.startswith("Qwen2.5"):
        vision |= {"depth": 32, "intermediate_size": 3420}
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)
    else:
        vision |= {"depth": 24, "intermediate_size": 4096}
        config = Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    counts = {"visual": 0, "language": 0}
    for name, weight in model.named_parameters():
        counts["visual" if "visual" in name else "language"] += weight.numel()
    assert counts["language"] / 1e9 == pytest.approx(size.language, abs=1e-3)
    assert counts["visual"] / 1e9 == pytest.approx(size.vision, abs=1e-3)
