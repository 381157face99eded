"""Supervised training: on the tokens it should be on, of the trajectories it should be on, and resumed where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import torch
from local_cases import ask, tiny_checkpoint, tiny_folder, turns
from training_cases import RIGHT, finish, sft_recipe, write_some

from rsagent_ros.policies.family import QWEN2_5_VL, QWEN3_VL, Family
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training import sft
from rsagent_training.trainer.run_folder import TrainingStopped
from rsagent_training.trainer.token_sequence import IGNORED


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in json.loads((out / "curve.json").read_bytes()) if "loss" in row]


def test_the_trainer_is_given_the_replies_to_learn_and_nothing_else(tmp_path: Path) -> None:
    recipe = sft_recipe(write_some(tmp_path / "t"), batch=6, optimisation={"device_batch": 6})
    data, counts = sft.select(recipe, tiny_checkpoint(QWEN2_5_VL))
    assert counts == {"read": 6, "kept": 6}
    trainer = sft.EpisodeSftTrainer(data, sft.load_policy_model(recipe), recipe, tmp_path / "out")
    (batch,) = list(trainer.get_train_dataloader())
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    said = {
        name: vocabulary.decode(labels[labels != IGNORED].tolist())
        for name, labels in zip(batch["names"], batch["labels"], strict=True)
    }
    assert said["scene-000-t"] == RIGHT + finish(1)
    assert said["scene-001-t"] == RIGHT + finish(2)  # the wrong box before it is read, not learned


def test_loss_is_the_mean_over_the_tokens_of_the_whole_batch(tmp_path: Path) -> None:
    """Gradient accumulation must not weigh short replies more; a plain forward pass gives the number."""
    recipe = sft_recipe(write_some(tmp_path / "t", 4), batch=4, optimisation={"device_batch": 1})
    sft.train(recipe, tmp_path / "out")
    data, _ = sft.select(recipe, tiny_checkpoint(QWEN2_5_VL))
    batch = data.batch([{"number": number} for number in range(4)])
    del batch["names"]
    with torch.no_grad():
        wanted = tiny_checkpoint(QWEN2_5_VL).model(**batch).loss
    assert losses(tmp_path / "out") == pytest.approx([wanted.item()], rel=1e-4)


@pytest.mark.parametrize("family", [QWEN2_5_VL, QWEN3_VL], ids=lambda family: family.name)
def test_all_weights_or_an_adapter_learn_and_the_policy_loads_both(
    tmp_path: Path, sft_run: Callable[[Family], Path], family: Family
) -> None:
    write_some(tmp_path / "t", 4, family)
    whole = sft_recipe(tmp_path / "t", family, lora=None, epochs=6, optimisation={"learning_rate": 5e-3})
    final = sft.train(whole, tmp_path / "all")
    adapted = sft_run(family)
    for out, trained, adapter in (
        (tmp_path / "all", final, ""),
        (adapted, tiny_folder(family), str(adapted / "final")),
    ):
        assert losses(out)[-1] < losses(out)[0] - 0.3
        policy = load_local_policy(LocalConfig(str(trained), adapter, device="cpu", side=112))
        assert ask(policy.open(seed=0), turns(family)[0]).sampled_tokens > 0


def test_a_frozen_vision_tower_stays_as_it_is(tmp_path: Path) -> None:
    write_some(tmp_path / "t", 2)
    final = sft.train(sft_recipe(tmp_path / "t", lora=None, optimisation={"learning_rate": 0.1}), tmp_path / "out")
    trained = load_local_policy(LocalConfig(str(final), device="cpu", side=112)).checkpoint.model.state_dict()
    before = tiny_checkpoint(QWEN2_5_VL).model.state_dict()
    changed = {name for name, weight in trained.items() if not torch.equal(weight, before[name])}
    assert changed
    assert not any("visual" in name for name in changed)


@pytest.mark.parametrize(
    ("changes", "filtered"),
    [
        ({"min_iou": 0.99}, "6 under min_iou 0.99"),
        ({"max_turns": 1}, "6 over max_turns 1"),
        ({"max_tokens": 100}, "6 over max_tokens 100"),
    ],
)
def test_an_empty_set_says_which_filter_emptied_it(tmp_path: Path, changes: dict[str, Any], filtered: str) -> None:
    write_some(tmp_path / "t", iou=0.95)
    with pytest.raises(ValueError, match=rf"of 6 trajectories in .* none is left to train on: {filtered}"):
        sft.train(sft_recipe(tmp_path / "t", **changes), tmp_path / "out")


def test_trajectories_of_another_family_are_left_out_with_a_count(tmp_path: Path) -> None:
    write_some(tmp_path / "t", 2, QWEN3_VL)
    with pytest.raises(ValueError, match=r"2 made for another family than Qwen2\.5-VL"):
        sft.train(sft_recipe(tmp_path / "t"), tmp_path / "out")


def test_a_missing_picture_is_named_before_training(tmp_path: Path) -> None:
    write_some(tmp_path / "t", 2)
    (tmp_path / "t" / "scenes" / "images" / "scene-001.png").unlink()
    with pytest.raises(ValueError, match=r"scene scene-001 can't be read: .*images/scene-001\.png is missing"):
        sft.train(sft_recipe(tmp_path / "t"), tmp_path / "out")


def test_a_loss_that_is_no_number_stops_with_the_batch_and_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_some(tmp_path / "t", 6)
    whole = sft.Trajectories.batch

    def poisoned(self: Any, chosen: Any) -> Any:
        batch = whole(self, chosen)
        if "scene-004-t" in batch["names"]:
            batch["pixel_values"] = batch["pixel_values"] * torch.nan
        return batch

    monkeypatch.setattr(sft.Trajectories, "batch", poisoned)
    with pytest.raises(TrainingStopped) as stopped:
        sft.train(sft_recipe(tmp_path / "t", epochs=2, optimisation={"save_every": 1}), tmp_path / "out")
    assert "scene-004-t" in str(stopped.value)
    assert "the loss of step" in str(stopped.value)
    kept = sorted((tmp_path / "out").glob("checkpoint-*"))
    assert ("no checkpoint was written before" in str(stopped.value)) != bool(kept)
    for folder in kept:
        weights = torch.load(folder / "optimizer.pt", weights_only=True)["state"]
        assert all(torch.isfinite(state["exp_avg"]).all() for state in weights.values())


def test_a_gradient_that_is_no_number_stops_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_some(tmp_path / "t", 2)
    whole = sft.EpisodeSftTrainer.compute_loss

    def steep(self: Any, *given: Any, **named: Any) -> Any:
        loss = whole(self, *given, **named)
        return loss + (loss - loss.detach()) * 1e38 * 1e38

    monkeypatch.setattr(sft.EpisodeSftTrainer, "compute_loss", steep)
    with pytest.raises(TrainingStopped, match="the gradient of step 1 is not a finite number, on scene-00"):
        sft.train(sft_recipe(tmp_path / "t"), tmp_path / "out")


def test_a_run_is_not_overwritten_nor_resumed_with_another_recipe(sft_run: Callable[[Family], Path]) -> None:
    out = sft_run(QWEN2_5_VL)
    recipe = sft_recipe(out.parent / "trajectories")
    with pytest.raises(FileExistsError, match="resume it with --resume"):
        sft.train(recipe, out)
    with pytest.raises(FileExistsError, match="differs from the recipe given"):
        sft.train(recipe, out, resume=True)


def test_the_same_seed_gives_the_same_curve_and_another_another(tmp_path: Path) -> None:
    write_some(tmp_path / "t", 6)
    curves = []
    for number, seed in enumerate((0, 0, 1)):
        sft.train(sft_recipe(tmp_path / "t", optimisation={"seed": seed}), tmp_path / str(number))
        curves.append(losses(tmp_path / str(number)))
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]
