"""Held-out scenes: played greedily every so many steps, the best weights kept, and an end when nothing gets better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from safetensors.torch import load_file
from scripted_rollouts import PLAYS, Scripted
from training_cases import SIDE, grpo_recipe, scene, sft_recipe, write_scenes, write_some

from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training import grpo, sft
from rsagent_training.merge import merge
from rsagent_training.rollouts.local import LocalRollouts
from rsagent_training.trainer import held_out
from rsagent_training.trainer.run_folder import TrainingStopped

RIGHT_AT_ONCE, CORRECTED, WRONG, GAVE_UP = 1, 0, 2, 3
"""Numbers in PLAYS."""


class Plays:
    """Stands for the rollouts of the evaluations: all episodes of the n-th one are the n-th of these plays."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.temperatures: list[float] = []
        self.steps: list[int] = []

    def __call__(self, checkpoint: Any, recipe: Any, segmenter: Any, *, temperature: float) -> Any:
        self.temperatures.append(temperature)
        return self

    def run(self, model: Any, scenes: Any, step: int, seeds: Any) -> Any:
        self.steps.append(step)
        return Scripted(plays=[PLAYS[self.numbers.pop(0)]]).run(model, scenes, step, seeds)


def held(folder: Path, **more: Any) -> dict[str, Any]:
    if not (folder / "held").exists():
        write_scenes(folder / "held", 3)
    return {"scenes": str(folder / "held"), "every": 1, **more}


def small(folder: Path, **more: Any) -> dict[str, Any]:
    """The same for supervised training, which says how episodes are played."""
    return held(folder, segmenter="classical", side=SIDE, max_reply_tokens=12, **more)


def values(out: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["value"]) for row in json.loads((out / "held_out.json").read_bytes())]


def test_the_best_weights_are_kept_and_the_run_ends_when_nothing_gets_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays = Plays(WRONG, RIGHT_AT_ONCE, GAVE_UP, RIGHT_AT_ONCE, RIGHT_AT_ONCE)
    monkeypatch.setattr(held_out, "LocalRollouts", plays)
    recipe = grpo_recipe(
        write_scenes(tmp_path / "s"), steps=9, held_out=held(tmp_path, patience=2),
        optimisation={"learning_rate": 1e-2, "save_every": 1, "keep": 9},
    )  # fmt: skip
    out = tmp_path / "out"
    final = grpo.train(recipe, out, rollouts=Scripted(QWEN2_5_VL))
    assert plays.temperatures == [0.0]
    assert plays.steps == [1, 2, 3, 4]
    assert [step for step, _ in values(out)] == [1, 2, 3, 4]
    first, second, third, _ = [value for _, value in values(out)]
    assert first == pytest.approx(-0.2)  # the one Score: a wrong answer misleads
    assert second == 1
    assert first < third < second
    best, step, last = (
        load_file(folder / "adapter_model.safetensors") for folder in (out / "best", out / "checkpoint-2", final)
    )
    assert all((best[key] == step[key]).all() for key in best)
    assert any((best[key] != last[key]).any() for key in best)
    curve = json.loads((out / "curve.json").read_bytes())
    assert [row["held_out/right"] for row in curve if "held_out/right" in row] == [0, 1, 0, 1]
    assert [row["step"] for row in curve if {"loss", "reward"} <= {*row}] == [1, 2, 3, 4]  # the steps' own figures
    pages = {path.name for path in (out / "rollouts").iterdir()}
    assert {"held-out-1.html", "held-out-4.html", "step-1.html", "step-4.html"} <= pages
    page = (out / "rollouts" / "held-out-2.html").read_text(encoding="utf-8")
    assert scene(0).instruction in page
    merged = merge(out, tmp_path / "merged", best=True)
    load_local_policy(LocalConfig(str(merged), device="cpu", side=SIDE))


def test_a_run_that_is_gone_on_with_knows_what_was_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in its fourth step, with a checkpoint of its second: what came after is played again."""
    recipe = grpo_recipe(write_scenes(tmp_path / "s"), steps=5, held_out=held(tmp_path), optimisation={"save_every": 2})
    out = tmp_path / "out"
    monkeypatch.setattr(held_out, "LocalRollouts", Plays(RIGHT_AT_ONCE, WRONG, GAVE_UP))

    class Broken(Scripted):
        def run(self, model: Any, scenes: Any, step: int, seeds: Any) -> Any:
            if step == 3:
                raise TrainingStopped("a kill")
            return super().run(model, scenes, step, seeds)

    with pytest.raises(TrainingStopped, match="a kill"):
        grpo.train(recipe, out, rollouts=Broken(QWEN2_5_VL))
    assert [step for step, _ in values(out)] == [1, 2, 3]
    before = (out / "best" / "adapter_model.safetensors").read_bytes()
    again = Plays(GAVE_UP, CORRECTED, WRONG)
    monkeypatch.setattr(held_out, "LocalRollouts", again)
    grpo.train(recipe, out, resume=True, rollouts=Scripted(QWEN2_5_VL))
    assert again.steps == [3, 4, 5]
    assert [step for step, _ in values(out)] == [1, 2, 3, 4, 5]
    assert (out / "best" / "adapter_model.safetensors").read_bytes() == before


def test_the_policy_plays_them_as_the_robot_would(tmp_path: Path) -> None:
    """Nothing replaced: a tiny model talks nonsense, the same each time, which is worth nothing."""
    seen = []
    for number in range(2):
        recipe = sft_recipe(write_some(tmp_path / f"t{number}", 2), epochs=2, held_out=small(tmp_path, every=5))
        sft.train(recipe, tmp_path / f"out{number}")
        seen.append(values(tmp_path / f"out{number}"))
    assert seen[0] == seen[1] == [(2, 0.0)]  # the last step has an evaluation, too
    assert (tmp_path / "out0" / "best" / "adapter_model.safetensors").is_file()


def test_evaluations_do_not_change_what_is_learned(tmp_path: Path) -> None:
    curves = []
    for name, scenes in (("with", small(tmp_path)), ("without", None)):
        recipe = sft_recipe(write_some(tmp_path / name, 4), epochs=2, held_out=scenes)
        sft.train(recipe, tmp_path / f"out-{name}")
        rows = json.loads((tmp_path / f"out-{name}" / "curve.json").read_bytes())
        curves.append([row["loss"] for row in rows if "loss" in row])
    assert curves[0] == curves[1]
    assert len(curves[0]) == 4


def test_a_segmenter_that_fails_always_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LocalRollouts.run

    def failing(self: Any, *given: Any) -> Any:
        from dataclasses import replace

        from rsagent_ros.agent.outcome import Outcome

        return [replace(trace, outcome=Outcome.FAILED, error_msg="no GPU") for trace in whole(self, *given)]

    monkeypatch.setattr(LocalRollouts, "run", failing)
    recipe = sft_recipe(write_some(tmp_path / "t", 2), held_out=small(tmp_path))
    with pytest.raises(TrainingStopped, match="not one episode on held-out scenes could be run: no GPU"):
        sft.train(recipe, tmp_path / "out")


def test_the_best_of_a_run_without_held_out_scenes_is_not_there(tmp_path: Path) -> None:
    sft.train(sft_recipe(write_some(tmp_path / "t", 2)), tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="has no best/; its recipe had no held_out"):
        merge(tmp_path / "out", tmp_path / "merged", best=True)


def test_the_curve_is_there_before_the_first_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    whole = sft.EpisodeSftTrainer.compute_loss

    def watching(self: Any, *given: Any, **named: Any) -> Any:
        path = tmp_path / "out" / "curve.json"
        seen.append(len(json.loads(path.read_bytes())) if path.exists() else 0)
        return whole(self, *given, **named)

    monkeypatch.setattr(sft.EpisodeSftTrainer, "compute_loss", watching)
    sft.train(sft_recipe(write_some(tmp_path / "t", 4), epochs=2), tmp_path / "out")
    assert seen[0] == 0
    assert seen[1] == 1
