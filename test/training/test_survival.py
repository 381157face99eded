"""Runs that survive: what can't be run is left out, what may change on resume does, and nothing bad is saved."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import torch
from fakes import FakeSegmenter
from scripted_rollouts import PLAYS, Scripted
from training_cases import SIDE, episode, grpo_recipe, scene, sft_recipe, write_scenes, write_some

from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.family import QWEN2_5_VL, Family
from rsagent_training import grpo, sft
from rsagent_training.rewards import episode_reward
from rsagent_training.rollouts.local import LocalRollouts
from rsagent_training.trainer.finite_guard import FiniteGuard
from rsagent_training.trainer.policy_model import load_policy_model, segmenter_settings, trainer_arguments
from rsagent_training.trainer.run_folder import TrainingStopped


def curve(out: Path) -> list[dict[str, Any]]:
    return [row for row in json.loads((out / "curve.json").read_bytes()) if "loss" in row]


class Faulty(Scripted):
    """Rollouts in which a segmenter has a fault on every scene with one of these numbers."""

    def __init__(self, broken: Sequence[int]) -> None:
        super().__init__()
        self.broken = {f"scene-{number:03d}" for number in broken}

    def close(self) -> None:
        """Nothing to let go of."""

    def run(self, model: Any, scenes: Sequence[Example], step: int, seeds: Sequence[int]) -> list[Trace]:
        traces = super().run(model, scenes, step, seeds)
        for number, about in enumerate(scenes):
            if about.id in self.broken:
                failed = episode(about, QWEN2_5_VL.pictures(SIDE))
                failed.stop(Outcome.FAILED, ErrorCode.SEGMENTER_FAILED, "the segmenter has a fault")
                traces[number] = replace(failed.trace, goal_id=about.id)
        return traces


def test_a_group_with_a_fault_is_left_out_and_the_run_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_scenes(tmp_path / "scenes", 4)
    recipe = grpo_recipe(tmp_path / "scenes", beta=0.1, optimisation={"save_every": 2})
    final = grpo.train(recipe, tmp_path / "out", rollouts=Faulty([1]))
    assert final.is_dir()
    assert sorted(row["episodes/dropped"] for row in curve(tmp_path / "out")) == [0.0, 0.5]
    assert all(math.isfinite(row["loss"]) for row in curve(tmp_path / "out"))
    assert "the episode on scene scene-001 failed: the segmenter has a fault; its group is left out" in caplog.text


def test_only_what_is_left_is_learned_from(tmp_path: Path) -> None:
    """The loss of a step whose second group is left out is that of the first alone, over as many rows."""
    write_scenes(tmp_path / "scenes", 2)
    losses = {}
    for name, rollouts in (("whole", Scripted(plays=PLAYS[:2])), ("half", Faulty([1]))):
        recipe = grpo_recipe(tmp_path / "scenes", steps=1, beta=0.0, optimisation={"device_batch": 4})
        grpo.train(recipe, tmp_path / name, rollouts=rollouts)
        losses[name] = curve(tmp_path / name)[0]
    assert losses["half"]["episodes/dropped"] == 0.5
    assert losses["half"]["grad_norm"] == pytest.approx(losses["whole"]["grad_norm"] / 2, rel=0.5)
    assert losses["half"]["episodes/iou"] == 1.0  # of the first group, whose plays both end right


def test_too_many_faults_stop_the_run(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", 4)
    recipe = grpo_recipe(tmp_path / "scenes", steps=2, max_dropped_groups=1)
    with pytest.raises(
        TrainingStopped, match=r"2 groups \(max_dropped_groups 1\) had an episode that could not be run"
    ):
        grpo.train(recipe, tmp_path / "out", rollouts=Faulty([0, 1]))
    with pytest.raises(
        TrainingStopped, match="every group of this step had an episode that could not be run; the last"
    ):
        grpo.train(recipe, tmp_path / "none", rollouts=Faulty(range(4)))


def test_an_episode_that_grows_too_long_gives_up_and_the_others_go_on(tmp_path: Path) -> None:
    recipe = grpo_recipe(tmp_path / "scenes", max_turns=3)
    short = scene(1)
    talked = replace(scene(2), previous=tuple(Exchange(f"thing {number}", "Which?") for number in range(20)))
    checkpoint = load_policy_model(recipe)

    def played(max_tokens: int) -> tuple[Trace, Trace]:
        rollouts = LocalRollouts(checkpoint, replace(recipe, max_tokens=max_tokens), FakeSegmenter())
        one, other = rollouts.run(checkpoint.model.eval(), [short, talked], 0, [1, 2])
        return one, other

    free, long = played(16_384)
    prompt = long.turns[0].prompt_tokens
    alone, cut = played(prompt + 5)
    assert (cut.outcome, cut.error_code) == (Outcome.GAVE_UP, ErrorCode.CONTEXT_TOO_LONG)
    assert len(cut.turns) == 1
    assert [turn.token_ids for turn in alone.turns] == [turn.token_ids for turn in free.turns]
    assert episode_reward(cut, talked).format == 0.0
    assert episode_reward(cut, talked).final == 0.0


def test_half_precision_says_how_far_the_training_pass_is_from_what_sampled(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes")
    recipe = grpo_recipe(tmp_path / "scenes", steps=1, optimisation={"precision": "bfloat16"})
    grpo.train(recipe, tmp_path / "half")
    (half,) = curve(tmp_path / "half")
    assert 0 < half["rollout/logp_gap"] <= half["rollout/logp_gap_most"] < 1
    assert "stale/ratio" not in half
    weighed = replace(recipe, max_ratio=1.05)
    grpo.train(weighed, tmp_path / "weighed")
    (row,) = curve(tmp_path / "weighed")
    assert row["stale/ratio"] == pytest.approx(1.0, abs=0.1)
    grpo.train(replace(recipe, optimisation=replace(recipe.optimisation, precision="float32")), tmp_path / "full")
    assert "rollout/logp_gap" not in curve(tmp_path / "full")[0]


def test_each_process_has_its_own_device_for_the_segmenter(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(grpo_recipe(Path("s")), segmenter="sam2", segmenter_settings={"sam2.checkpoint": "sam"})
    recipe = replace(recipe, optimisation=replace(recipe.optimisation, cpu=False))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert segmenter_settings(recipe) == {"sam2.checkpoint": "sam"}
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert segmenter_settings(recipe) == {"sam2.checkpoint": "sam", "sam2.device": "cuda:1"}
    chosen = replace(recipe, segmenter_settings={"sam2.device": "cpu"})
    assert segmenter_settings(chosen) == {"sam2.device": "cpu"}
    assert segmenter_settings(replace(recipe, segmenter="classical", segmenter_settings={})) == {}


def test_several_gpus_in_one_process_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = grpo_recipe(Path("s"))
    gpu = replace(recipe.optimisation, cpu=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="2 GPUs are visible to one process; start one for each with `accelerate laun"):
        trainer_arguments(gpu, Path("out"), 4)
    assert trainer_arguments(recipe.optimisation, Path("out"), 4)["use_cpu"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not trainer_arguments(gpu, Path("out"), 4)["use_cpu"]


def test_a_gradient_that_nobody_saw_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSpeed hides gradients and makes its step at once: only the norm tells, after the step."""
    monkeypatch.setattr(FiniteGuard, "on_pre_optimizer_step", lambda *_, **__: None)
    whole = sft.EpisodeSftTrainer.compute_loss

    def steep(self: Any, *given: Any, **named: Any) -> Any:
        loss = whole(self, *given, **named)
        return loss + (loss - loss.detach()) * 1e38 * 1e38 if self.state.global_step == 1 else loss

    monkeypatch.setattr(sft.EpisodeSftTrainer, "compute_loss", steep)
    recipe = sft_recipe(write_some(tmp_path / "t", 6), optimisation={"save_every": 1, "log_every": 100})
    with pytest.raises(
        TrainingStopped, match=r"the gradient of step 2 is not a finite .*; the last good .*checkpoint-1"
    ):
        sft.train(recipe, tmp_path / "out")
    assert [folder.name for folder in (tmp_path / "out").glob("checkpoint-*")] == ["checkpoint-1"]


def test_what_does_not_decide_what_is_learned_may_change_on_resume(
    sft_run: Callable[[Family], Path], tmp_path: Path
) -> None:
    recipe = grpo_recipe(write_scenes(tmp_path / "scenes"), steps=1, optimisation={"save_every": 1})
    grpo.train(recipe, tmp_path / "out", rollouts=Scripted())
    (tmp_path / "out" / "final").rename(tmp_path / "gone")
    optimisation = replace(recipe.optimisation, save_every=5, keep=1)
    changed = replace(recipe, max_tokens=2_000, max_dropped_groups=3, rollout_batch=2, optimisation=optimisation)
    grpo.train(changed, tmp_path / "out", resume=True, rollouts=Scripted())
    assert "max_tokens: 2000" in (tmp_path / "out" / "recipe.yaml").read_text()
    with pytest.raises(FileExistsError, match=r"differs from the recipe given in optimisation\.learning_rate, steps; "):
        grpo.train(
            replace(changed, steps=2, optimisation=replace(optimisation, learning_rate=1.0)), tmp_path / "out",
            resume=True,
        )  # fmt: skip
