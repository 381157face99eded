"""All stages of the miniature, on a handful of scenes: files, finite losses, and nothing done twice."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training.miniature.recipe import (
    Demonstrations,
    MiniatureRecipe,
    Practice,
    Rejection,
    Variant,
    load,
)
from rsagent_training.miniature.stages import run
from rsagent_training.miniature.world import SearchWorld
from rsagent_training.recipe_parts import Lora
from rsagent_training.rewards import RewardConfig
from rsagent_training.trajectories import read_trajectories

CONFIG = Path(__file__).resolve().parents[3] / "config" / "training"
RECIPE = MiniatureRecipe(
    demonstrations=Demonstrations(8, 1, 1e-3),
    practice=Practice(
        4, steps=2, batch=2, samples=2, min_turns=1, max_turns=2, lora=Lora(4, 8, targets=("q_proj",))
    ),
    world=SearchWorld(things=2),
    held_out=4, batch=4, control=1.0, turn_limits=(2,), max_reply_tokens=12,
)  # fmt: skip


def test_all_stages_once_and_variants_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(RECIPE, tmp_path)
    results = json.loads((tmp_path / "results.json").read_bytes())
    for name in ("untrained", "sft", "grpo", "control"):
        assert {len(column) for column in results["policies"][name]["2"].values()} == {4}
        policy = load_local_policy(LocalConfig(str(tmp_path / "checkpoints" / name), device="cpu", side=96))
        assert (policy.pictures.side, policy.pictures.overlay) == (96, "view")
    assert {*results["curves"]} == {"sft", "grpo", "control"}
    for curve in results["curves"].values():
        assert all(math.isfinite(loss) for loss in curve["loss"])

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").rglob("*.safetensors")}
    more = replace(
        RECIPE,
        turn_limits=(2, 1),
        variants=(Variant("rl_only", untrained=True), Variant("mute", reward=RewardConfig(0, 0, 0), steps=1)),
    )
    again = run(more, tmp_path)
    assert [*again["policies"]] == ["untrained", "sft", "grpo", "control", "rl_only", "mute"]
    assert all([*under] == ["2", "1"] for under in again["policies"].values())
    assert again["policies"]["sft"]["2"] == results["policies"]["sft"]["2"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    begun = (tmp_path / "runs" / "rl_only" / "recipe.yaml").read_text()
    assert f"checkpoint: {tmp_path}/checkpoints/untrained" in begun
    assert again["curves"]["mute"]["reward"] == [0]
    assert len(again["curves"]["rl_only"]["reward"]) == 2

    monkeypatch.setattr("rsagent_training.sft.train", None)
    monkeypatch.setattr("rsagent_training.grpo.train", None)
    assert run(more, tmp_path)["policies"] == again["policies"]
    with pytest.raises(FileExistsError, match="is another recipe"):
        run(replace(RECIPE, seed=1), tmp_path)


def test_right_rollouts_are_learned_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained policy gets nothing right, so that all are taken for right here, and the scripted teacher plays."""
    from rsagent_ros.scoring.score import Score

    monkeypatch.setattr(Score, "right", property(lambda _: True))
    monkeypatch.setattr("rsagent_training.rft.answer_quality", lambda _: 1.0)
    monkeypatch.setattr("rsagent_training.rft.is_bad_reply", lambda _: False)
    run(replace(RECIPE, control=0, rejection=Rejection(4, 1)), tmp_path)
    learned = [trajectory for _, trajectory in read_trajectories(tmp_path / "trajectories" / "rollouts")]
    assert len(learned) == 4
    assert all(trajectory.source.startswith("rollout of local/sft") for trajectory in learned)
    assert "rft" in json.loads((tmp_path / "results.json").read_bytes())["policies"]


def test_shipped_recipes_are_read() -> None:
    full, smoke = load(CONFIG / "miniature.yaml"), load(CONFIG / "miniature_smoke.yaml")
    assert full.turn_limits == (2, 3, 4, 6, 8, 12)
    assert (full.practice.min_turns, full.practice.max_turns) == (3, 8)
    assert smoke.demonstrations.scenes * smoke.demonstrations.epochs < full.demonstrations.scenes * 18
    night = load(CONFIG / "miniature_ablations.yaml")
    assert night.variants[: len(full.variants)] == full.variants
    assert replace(night, variants=full.variants) == full  # it goes on in the same folder
    assert [variant.name for variant in night.variants if variant.untrained] == ["rl_only"]


def test_a_variant_can_not_take_the_name_of_a_stage() -> None:
    with pytest.raises(ValueError, match="the variant 'sft' needs a name of letters"):
        Variant("sft")
    with pytest.raises(ValueError, match="two variants have the same name: a, a"):
        replace(RECIPE, variants=(Variant("a"), Variant("a")))
    with pytest.raises(ValueError, match=r"turn_limits is \[\]"):
        replace(RECIPE, turn_limits=())
