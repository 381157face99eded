"""Two processes on the CPU (gloo): groups stay whole, figures are of both, and one result is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from training_cases import grpo_recipe, sft_recipe, write_scenes, write_some

from rsagent_ros.yaml_file import write_yaml
from rsagent_training.recipes import GrpoRecipe, SftRecipe

ROOT = Path(__file__).resolve().parents[2]


def launched(stage: str, recipe: SftRecipe | GrpoRecipe, folder: Path, processes: int) -> list[dict[str, Any]]:
    """Run a stage as `accelerate launch` does; returns what was logged."""
    write_yaml(recipe, folder / f"{stage}.yaml")
    out = folder / f"{stage}-{processes}"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
        "-m", f"rsagent_training.{stage}", str(folder / f"{stage}.yaml"), "--out", str(out),
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT / "training"), str(ROOT)])
    environment = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (out / "final" / "adapter_model.safetensors").is_file()
    return [row for row in json.loads((out / "curve.json").read_bytes()) if "loss" in row]


def test_grpo_shares_its_groups_and_logs_means_over_both(tmp_path: Path) -> None:
    recipe = grpo_recipe(write_scenes(tmp_path / "scenes"), steps=2, batch=2, samples=2, beta=0.1)
    rows = launched("grpo", recipe, tmp_path, processes=2)
    assert len(rows) == 2
    # Each process has one group of two episodes, of up to two turns of up to 12 tokens.
    assert all(row["episodes/turns"] in {1.0, 1.25, 1.5, 1.75, 2.0} for row in rows)
    assert all(0 < row["episodes/sampled"] <= 24 for row in rows)
    assert all(row["grad_norm"] >= 0 and row["kl"] >= 0 for row in rows)


def test_sft_learns_the_same_with_two_processes_as_with_one(tmp_path: Path) -> None:
    recipe = sft_recipe(
        write_some(tmp_path / "trajectories", 4), epochs=2, optimisation={"device_batch": 1, "schedule": "constant"}
    )
    alone = launched("sft", recipe, tmp_path, processes=1)
    together = launched("sft", recipe, tmp_path, processes=2)
    assert [row["loss"] for row in together] == pytest.approx([row["loss"] for row in alone], rel=0.05)
