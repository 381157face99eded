"""All stages of the miniature, on a handful of scenes: files, finite losses, and nothing done twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training.miniature.recipe import MiniatureRecipe, Plan, Practice, load
from rsagent_training.miniature.stages import run
from rsagent_training.recipes import Lora

CONFIG = Path(__file__).resolve().parents[3] / "config" / "training"
RECIPE = MiniatureRecipe(
    lessons=(Plan("one", 8, 1, 1e-3), Plan("mixed", 8, 1, 1e-3)),
    practice=Practice(4, steps=2, batch=2, samples=2, lora=Lora(4, 8, targets=("q_proj",))),
    held_out=4, batch=4, control_epochs=0.5, max_turns=2, max_reply_tokens=12,
)  # fmt: skip


def test_all_stages_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = run(RECIPE, tmp_path)
    for name in ("untrained", "sft", "grpo", "control"):
        figures = results["policies"][name]
        assert all(math.isfinite(value) for value in figures["iou_all"])
        policy = load_local_policy(LocalConfig(str(tmp_path / "checkpoints" / name), device="cpu", side=96))
        assert policy.pictures.side == 96
    for name in ("sft-1", "sft-2", "grpo", "control"):
        curve = json.loads((tmp_path / "runs" / name / "curve.json").read_bytes())
        assert all(math.isfinite(row["loss"]) for row in curve if "loss" in row)
    assert {"sft over untrained", "grpo over sft", "grpo over control"} <= set(results["gains"])
    monkeypatch.setattr("rsagent_training.sft.train", None)
    monkeypatch.setattr("rsagent_training.grpo.train", None)
    assert run(RECIPE, tmp_path) == json.loads((tmp_path / "results.json").read_bytes())
    with pytest.raises(FileExistsError, match="is another recipe"):
        run(replace(RECIPE, seed=1), tmp_path)


@pytest.mark.parametrize("name", ["miniature.yaml", "miniature_smoke.yaml"])
def test_shipped_recipes_are_read(name: str) -> None:
    assert load(CONFIG / name).lessons[-1].lesson == "mixed"
