"""What was trained as a checkpoint that the robot's policy loads, and its card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import torch
from local_cases import ask, tiny_folder, turns
from training_cases import sft_recipe, write_some

from rsagent_ros.policies.family import CHAT_TEMPLATE, FAMILIES, QWEN2_5_VL, Family
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training import sft
from rsagent_training.merge import merge

Runs = Callable[[Family], Path]


def said(config: LocalConfig, family: Family) -> tuple[int, ...]:
    policy = load_local_policy(config)
    return ask(policy.open(seed=0), turns(family)[0]).token_ids or ()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_an_adapter_and_its_base_become_one_checkpoint_that_says_the_same(
    tmp_path: Path, sft_run: Runs, family: Family
) -> None:
    run = sft_run(family)
    merged = merge(run, tmp_path / "merged")
    base = str(tiny_folder(family))
    both = LocalConfig(base, lora=str(run / "final"), device="cpu", side=224)
    alone = LocalConfig(str(merged), device="cpu", side=224)
    assert said(alone, family) == said(both, family)
    assert said(alone, family) != said(LocalConfig(base, device="cpu", side=224), family)
    names = {path.name for path in merged.iterdir()}
    assert {"config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors", "README.md"} <= names
    assert (merged / "chat_template.jinja").read_text() == CHAT_TEMPLATE.read_text()


def test_the_card_names_data_recipe_and_metrics(tmp_path: Path, sft_run: Runs) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"gIoU": 0.625}))
    merged = merge(sft_run(QWEN2_5_VL), tmp_path / "merged", metrics=tmp_path / "metrics.json")
    card = (merged / "README.md").read_text()
    assert card.startswith("---\nbase_model: tiny-qwen2_5_vl\n")
    for part in ("supervised fine-tuning", "trajectories, kept: 4", "learning_rate=0.005", "gIoU: 0.625", "at step 12"):
        assert part in card
    assert str(tiny_folder(FAMILIES[0]).parent) not in card  # no path of this machine


def test_the_card_takes_the_figures_of_an_evaluation_and_no_more(tmp_path: Path, sft_run: Runs) -> None:
    giou = {"value": 0.62512, "low": 0.5, "high": 0.75, "over": 40.0}
    nothing = {"value": None, "low": None, "high": None, "over": 0.0}
    report = {"run": {"dataset": {"path": "/home/me/scenes"}}, "metrics": {"giou": giou, "candidates_f1": nothing}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    merged = merge(sft_run(QWEN2_5_VL), tmp_path / "merged", metrics=tmp_path / "report.json")
    card = (merged / "README.md").read_text()
    assert "- giou: 0.6251 [0.5, 0.75]\n- candidates_f1: None\n" in card
    assert "/home/me" not in card


def test_other_precision(tmp_path: Path) -> None:
    write_some(tmp_path / "t", 2)
    sft.train(sft_recipe(tmp_path / "t", lora=None), tmp_path / "run")
    merged = merge(tmp_path / "run", tmp_path / "merged", precision="bfloat16")
    weights = load_local_policy(LocalConfig(str(merged), dtype="bfloat16", device="cpu", side=112)).checkpoint.model
    assert weights.dtype is torch.bfloat16
    assert json.loads((merged / "config.json").read_bytes())["dtype"] == "bfloat16"


def test_a_run_that_has_not_ended(tmp_path: Path, sft_run: Runs) -> None:
    shutil.copytree(sft_run(QWEN2_5_VL), tmp_path / "run", ignore=shutil.ignore_patterns("final"))
    with pytest.raises(FileNotFoundError, match="has no result yet; let it end, or take its newest step"):
        merge(tmp_path / "run", tmp_path / "merged")
    assert (merge(tmp_path / "run", tmp_path / "merged", unfinished=True) / "model.safetensors").is_file()


def test_nothing_is_overwritten_and_no_other_folder_is_taken_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(FileExistsError, match="is not empty"):
        merge(tmp_path, tmp_path / "full")
    with pytest.raises(FileNotFoundError, match=r"has no recipe\.yaml; name the folder of a run"):
        merge(tmp_path, tmp_path / "new")
