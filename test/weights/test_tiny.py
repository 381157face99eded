"""Tiny random checkpoints: the same for the same seed, and as transformers expects them."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from rsagent_ros.policies.family import CHAT_TEMPLATE, FAMILIES, QWEN2_5_VL, Family
from rsagent_ros.weights.tiny import save_tiny

FILES = {
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "rsagent.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_same_seed_writes_the_same_files(family: Family, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        save_tiny(family, tmp_path / name, seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    content = {name: {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")}
    assert content["one"] == content["two"]
    assert set(content["one"]) == FILES
    assert sum(map(len, content["one"].values())) < 2_000_000
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != content["one"]["model.safetensors"]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_transformers_loads_it(family: Family, tmp_path: Path) -> None:
    save_tiny(family, tmp_path / "tiny")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "tiny", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny", local_files_only=True)
    images = AutoImageProcessor.from_pretrained(tmp_path / "tiny", local_files_only=True)
    assert model.config.model_type == family.model_type
    assert model.config.image_token_id == tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert images.patch_size * images.merge_size == family.multiple
    assert tokenizer.chat_template == CHAT_TEMPLATE.read_text()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="tiny is not empty; name a new folder"):
        save_tiny(QWEN2_5_VL, tmp_path / "tiny")
