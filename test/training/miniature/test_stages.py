"""All stages of the miniature, on a handful of scenes: files, finite losses, and nothing done twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training.miniature.recipe import CurriculumStage, MiniatureRecipe, Practice, Variant, load
from rsagent_training.miniature.stages import run
from rsagent_training.recipes import Lora
from rsagent_training.rewards import RewardConfig

CONFIG = Path(__file__).resolve().parents[3] / "config" / "training"
RECIPE = MiniatureRecipe(
    lessons=(CurriculumStage("one", 8, 1, 1e-3), CurriculumStage("mixed", 8, 1, 1e-3)),
    practice=Practice(4, steps=2, batch=2, samples=2, lora=Lora(4, 8, targets=("q_proj",))),
    held_out=4, batch=4, control=1.0, max_turns=2, max_reply_tokens=12,
)  # fmt: skip


def test_all_stages_once_and_variants_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(RECIPE, tmp_path)
    results = json.loads((tmp_path / "results.json").read_bytes())
    for name in ("untrained", "sft", "grpo", "control"):
        assert {len(column) for column in results["policies"][name].values()} == {4}
        policy = load_local_policy(LocalConfig(str(tmp_path / "checkpoints" / name), device="cpu", side=96))
        assert policy.pictures.side == 96
    assert {*results["curves"]} == {"sft-1", "sft-2", "grpo", "control"}
    for curve in results["curves"].values():
        assert all(math.isfinite(loss) for loss in curve["loss"])

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").rglob("*.safetensors")}
    assert results["limited"] == {}
    more = replace(
        RECIPE,
        turn_limits=(1,),
        variants=(Variant("rl_only", untrained=True), Variant("mute", reward=RewardConfig(0, 0, 0), steps=1)),
    )
    again = run(more, tmp_path)
    assert {**again["policies"], "rl_only": None, "mute": None} == {
        **results["policies"],
        "rl_only": None,
        "mute": None,
    }
    assert {path: path.stat().st_mtime_ns for path in before} == before
    begun = (tmp_path / "runs" / "rl_only" / "recipe.yaml").read_text()
    assert f"checkpoint: {tmp_path}/checkpoints/untrained" in begun
    assert {name: [*under] for name, under in again["limited"].items()} == {"sft": ["1"], "grpo": ["1"]}
    assert len(again["limited"]["sft"]["1"]) == 4
    assert again["curves"]["mute"]["reward"] == [0]
    assert len(again["curves"]["rl_only"]["reward"]) == 2

    monkeypatch.setattr("rsagent_training.sft.train", None)
    monkeypatch.setattr("rsagent_training.grpo.train", None)
    assert run(more, tmp_path)["policies"] == again["policies"]
    with pytest.raises(FileExistsError, match="is another recipe"):
        run(replace(RECIPE, seed=1), tmp_path)


def test_shipped_recipes_are_read() -> None:
    full, smoke = load(CONFIG / "miniature.yaml"), load(CONFIG / "miniature_smoke.yaml")
    assert full.lessons[-1].lesson == "mixed"
    assert [variant.name for variant in full.variants if variant.untrained] == ["rl_only"]
    assert smoke.lessons[0].scenes * smoke.lessons[0].epochs < full.lessons[-1].scenes * full.lessons[-1].epochs


def test_a_variant_can_not_take_the_name_of_a_stage() -> None:
    with pytest.raises(ValueError, match="the variant 'sft' needs a name of letters"):
        Variant("sft")
    with pytest.raises(ValueError, match="two variants have the same name: a, a"):
        replace(RECIPE, variants=(Variant("a"), Variant("a")))
