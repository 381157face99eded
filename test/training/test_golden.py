"""What an earlier release wrote for training is learned from, gone on with, or refused with one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from golden_copy import FUTURE, Golden, copy_golden
from safetensors.numpy import load_file

from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_ros.weights.tiny import Size, save_tiny

TEACH = (
    "synthesize", "scenes", "--out", "trajectories", "--family", "qwen2_5_vl", "--view-side", "112",
    "--config", "config/synthesize.yaml", "--seed", "3",
)  # fmt: skip


@pytest.fixture
def golden(tmp_path: Path) -> Golden:
    return copy_golden(tmp_path / "golden")


@pytest.fixture
def tiny(golden: Golden) -> Golden:
    """With the checkpoint that the runs began with, which is too large to be kept."""
    save_tiny(QWEN2_5_VL, golden / "tiny", size=Size(heads=4))  # as the tiny checkpoint of release 0.1.0 was
    return golden


def rows(golden: Golden, name: str) -> list[tuple[object, ...]]:
    """Trajectories without what a clock decides."""
    return [
        (row["id"], row["scene_id"], row["iou"], row["learn"], [turn["reply"] for turn in row["trace"]["turns"]])
        for row in golden.lines(f"{name}/trajectories.jsonl")
    ]


def test_teaching_that_was_broken_off_is_gone_on_with(golden: Golden) -> None:
    then = rows(golden, "trajectories")
    whole = golden.cut("trajectories/attempts/attempts.jsonl", 5)
    (golden / "trajectories/trajectories.jsonl").unlink()
    shutil.rmtree(golden / "trajectories/scenes")
    ran = golden.rsagent(*TEACH)
    assert ran.code == 0, ran
    assert (golden / "trajectories/attempts/attempts.jsonl").read_bytes().startswith(whole)
    assert rows(golden, "trajectories") == then


def test_teaching_is_not_gone_on_with_otherwise(golden: Golden) -> None:
    words = [word if word != "trajectories" else "elsewhere" for word in TEACH[:-1]]
    ran = golden.rsagent(*words, "4", "--attempts", "trajectories/attempts")
    ran.refused("attempts.jsonl was begun with seed 3, now it is 4")


def test_records_give_the_same_trajectories(golden: Golden) -> None:
    words = ("--records", "records", "--trajectories", "again/trajectories", "--config", "config/synthesize.yaml")
    ran = golden.rsagent("collect", "again/scenes", *words)
    assert ran.code == 0, ran
    assert rows(golden, "again/trajectories") == rows(golden, "own/trajectories")


def test_a_run_that_was_broken_off_ends_where_it_would_have(tiny: Golden) -> None:
    ran = tiny.rsagent("sft", "config/sft.yaml", "--out", "runs/sft", "--resume")
    assert ran.code == 0, ran
    folders = ("runs/sft/final", "runs/sft-adapter")
    now, then = (load_file(tiny / folder / "adapter_model.safetensors") for folder in folders)
    assert set(now) == set(then)
    for key, value in then.items():
        np.testing.assert_allclose(now[key], value, atol=1e-4)


def test_a_run_is_not_gone_on_with_otherwise(golden: Golden) -> None:
    words = ("sft", "config/sft.yaml", "--out", "runs/sft", "--resume", "--set", "batch=4")
    golden.rsagent(*words).refused("recipe.yaml differs from the recipe given")


def test_a_run_whose_reward_was_another_is_not_gone_on_with(tiny: Golden) -> None:
    ran = tiny.rsagent("grpo", "config/grpo.yaml", "--out", "runs/grpo", "--resume")
    ran.refused("recipe.yaml is of release 0.1.0", "begin another run")


@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_an_adapter_is_loaded(tiny: Golden, name: str) -> None:
    words = ("--policy", "local", "--local.checkpoint", "tiny", "--local.lora", f"runs/{name}-adapter")
    image = sorted((tiny / "scenes/images").iterdir())[0]
    ran = tiny.rsagent("run", image, "the green ball", "--out", "ran", *words, "--max-turns", "1", "--budget", "100")
    assert ran.code == 0, ran
    assert tiny.json("ran/result.json")["outcome"] != "failed"


@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_an_unfinished_run_is_merged(tiny: Golden, name: str) -> None:
    ran = tiny.rsagent("merge", f"runs/{name}", "--to", "merged", "--unfinished")
    assert ran.code == 0, ran
    assert (tiny / "merged/model.safetensors").is_file()


def test_a_trajectory_of_the_future_is_named(tiny: Golden) -> None:
    tiny.change("trajectories/trajectories.jsonl", lambda row: row.update(version=FUTURE))
    ran = tiny.rsagent("sft", "config/sft.yaml", "--out", "new")
    ran.refused("trajectories.jsonl, line 1", f"version {FUTURE}")


def test_scenes_of_the_future_are_named(tiny: Golden) -> None:
    tiny.change("scenes/scenes.jsonl", lambda row: row.update(version=FUTURE))
    tiny.rsagent("grpo", "config/grpo.yaml", "--out", "new").refused(f"version {FUTURE}")


def test_a_miniature_of_the_old_world_is_refused(golden: Golden) -> None:
    golden.rsagent("miniature", "config/miniature.yaml", "--out", "new").refused("there is no lessons")
    recipe = Path(__file__).resolve().parents[2] / "config" / "training" / "miniature_smoke.yaml"
    ran = golden.rsagent("miniature", str(recipe), "--out", "miniature")
    ran.refused("recipe.yaml is of another release", "choose another folder")


def test_figures_of_the_old_world_are_not_reported_as_ones_of_the_new(golden: Golden) -> None:
    (golden / "figures").mkdir()
    shutil.copy(golden / "miniature/results.json", golden / "figures/seed-0.json")
    document = golden / "training.md"
    document.write_text("<!-- miniature: begin -->\n<!-- miniature: end -->\n")
    command = [sys.executable, "-m", "rsagent_training.miniature.report", str(document), str(golden / "figures")]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "the results are of the miniature of release 0.1.0, which was another world" in ran.stderr
