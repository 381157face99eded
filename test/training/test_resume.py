"""A run that is killed goes on where it was, and its curve is the one it would have had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import training_runs
from training_cases import grpo_recipe, sft_recipe, write_scenes, write_some

from rsagent_ros.yaml_file import write_yaml
from rsagent_training import grpo
from rsagent_training.recipes import GrpoRecipe, SftRecipe
from rsagent_training.trainer import run_folder
from rsagent_training.trainer.run_folder import newest_whole

TEST = Path(training_runs.__file__).parent


def curve(out: Path) -> list[dict[str, float]]:
    """What was logged, but for what a clock decides, and TRL's own count of tokens, which begins anew."""
    rows = json.loads((out / "curve.json").read_bytes())
    return [
        {name: value for name, value in row.items() if "time" not in name and name != "num_tokens"}
        for row in rows
        if "loss" in row
    ]


def killed(kind: str, recipe: SftRecipe | GrpoRecipe, folder: Path, after: int) -> Path:
    """Run in a process that is killed as soon as a step's checkpoint is there; returns the folder of the run."""
    write_yaml(recipe, folder / "recipe.yaml")
    out = folder / "killed"
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(TEST), *sys.path]))
    command = [sys.executable, str(TEST / "training_runs.py"), kind, str(folder / "recipe.yaml"), str(out)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            while process.poll() is None and not (out / f"checkpoint-{after}" / "trainer_state.json").exists():
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()[-3000:]
    return out


def check(kind: str, recipe: SftRecipe | GrpoRecipe, tmp_path: Path) -> None:
    out = killed(kind, recipe, tmp_path, after=2)
    assert not (out / "final").exists()
    assert newest_whole(out) is not None
    training_runs.run(kind, recipe, out, resume=True)
    training_runs.run(kind, recipe, tmp_path / "whole", resume=False)
    for resumed, unbroken in zip(curve(out), curve(tmp_path / "whole"), strict=True):
        assert resumed == unbroken
    assert len({row["loss"] for row in curve(out)}) > 3
    first, second = (path / "final" / "adapter_model.safetensors" for path in (out, tmp_path / "whole"))
    assert first.read_bytes() == second.read_bytes()


def test_sft(tmp_path: Path) -> None:
    recipe = sft_recipe(write_some(tmp_path / "t"), epochs=2, optimisation={"schedule": "linear", "save_every": 1})
    check("sft", recipe, tmp_path)


def test_grpo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpo, "episode_reward", grpo.episode_reward)  # put back what the run replaces
    # Three steps an epoch: it is killed in the middle of one, and goes on into the next.
    recipe = grpo_recipe(
        write_scenes(tmp_path / "s", 6), steps=5, beta=0.1, optimisation={"device_batch": 4, "save_every": 1}
    )
    check("grpo", recipe, tmp_path)


def test_a_checkpoint_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    for step, state in ((1, "{}"), (2, "{}"), (10, '{"global_st'), (11, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert newest_whole(tmp_path) == tmp_path / "checkpoint-2"


def test_only_the_first_of_several_processes_makes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = sft_recipe(tmp_path / "data")
    for rank in ("0", "1", "2"):
        monkeypatch.setenv("RANK", rank)
        assert run_folder.begin(tmp_path / "run", recipe, resume=False) is None
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(FileExistsError, match="holds a run already"):
        run_folder.begin(tmp_path / "run", recipe, resume=False)
