"""Tiny checkpoints of the segmenters: small, reproducible, never written over something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch

from rsagent_ros.segmenters.sam2 import open_sam2
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.weights.tiny_detectors import save_tiny_mm_grounding_dino, save_tiny_owlv2
from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2, save_tiny_sam3_tracker
from rsagent_ros.weights.tiny_sam3 import save_tiny_sam3

MAKERS = [save_tiny_sam2, save_tiny_sam3_tracker]
OTHERS = [save_tiny_sam3, save_tiny_mm_grounding_dino, save_tiny_owlv2]


@pytest.mark.parametrize("make", MAKERS)
def test_they_are_small_load_and_are_the_same_for_the_same_seed(
    tmp_path: Path, make: Callable[[Path, int], None]
) -> None:
    random = torch.random.get_rng_state()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make(tmp_path / name, seed)
    assert torch.equal(random, torch.random.get_rng_state())
    contents = [(tmp_path / name / "model.safetensors").read_bytes() for name in "abc"]
    assert contents[0] == contents[1] != contents[2]
    assert sum(file.stat().st_size for file in (tmp_path / "a").iterdir()) < 3_000_000
    open_sam2(Sam2Config(str(tmp_path / "a"), device="cpu")).warm_up()


@pytest.mark.parametrize("make", OTHERS)
def test_those_that_take_words_are_the_same_for_the_same_seed(
    tmp_path: Path, make: Callable[[Path, int], None]
) -> None:
    random = torch.random.get_rng_state()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make(tmp_path / name, seed)
    assert torch.equal(random, torch.random.get_rng_state())
    contents = [
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())} for name in ("a", "b", "c")
    ]
    assert contents[0] == contents[1]
    assert contents[0]["model.safetensors"] != contents[2]["model.safetensors"]
    assert {"tokenizer.json", "config.json", "preprocessor_config.json"} < set(contents[0])


@pytest.mark.parametrize("make", [*MAKERS, *OTHERS])
def test_nothing_is_written_over(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "mine").write_text("dear")
    with pytest.raises(FileExistsError, match="is not empty"):
        make(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
