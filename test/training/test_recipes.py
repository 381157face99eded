"""Recipes: read, changed and written without loss, refused with a sentence; and those that are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rsagent_ros.yaml_file import read_yaml, write_yaml
from rsagent_training.recipes import GrpoRecipe, SftRecipe

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "training"


def test_the_papers_numbers() -> None:
    sft = read_yaml(SHIPPED / "sft.yaml", SftRecipe)
    assert (sft.epochs, sft.batch, sft.optimisation.learning_rate, sft.min_iou, sft.max_turns) == (2, 128, 2e-5, 0.9, 8)
    grpo = read_yaml(SHIPPED / "grpo.yaml", GrpoRecipe)
    assert (grpo.batch, grpo.samples, grpo.max_turns) == (16, 4, 8)
    assert [part.count for part in grpo.mix] == [2000, 8000]
    weights = grpo.reward.final_weight, grpo.reward.process_weight, grpo.reward.format_weight
    assert weights == (1.0, 0.5, 0.2)


@pytest.mark.parametrize("name", ["grpo.yaml", "grpo_one_gpu.yaml"])
def test_a_lora_has_a_rate_of_its_own_in_reinforcement_learning(name: str) -> None:
    """The paper's 1e-6 is for all weights."""
    recipe = read_yaml(SHIPPED / name, GrpoRecipe)
    assert recipe.lora is not None
    assert 1e-5 <= recipe.optimisation.learning_rate <= 2e-5


@pytest.mark.parametrize("name", ["sft.yaml", "sft_one_gpu.yaml", "first_sft.yaml"])
def test_written_and_read_again(name: str, tmp_path: Path) -> None:
    recipe = read_yaml(SHIPPED / name, SftRecipe)
    write_yaml(recipe, tmp_path / "recipe.yaml")
    assert read_yaml(tmp_path / "recipe.yaml", SftRecipe) == recipe


def test_changes_take_the_place_of_what_the_file_says() -> None:
    changes = ["optimisation.seed=3", "lora=null", "reward.turn_cost=0.05", "checkpoint=/elsewhere"]
    recipe = read_yaml(SHIPPED / "grpo.yaml", GrpoRecipe, changes)
    assert (recipe.optimisation.seed, recipe.lora, recipe.reward.turn_cost) == (3, None, 0.05)
    assert recipe.checkpoint == "/elsewhere"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("optimisation.learning_rat=1", r"there is no optimisation\.learning_rat; there are learning_rate, "),
        ("sampels=4", "there is no sampels; there are checkpoint, mix"),
        ("samples=1", "samples is 1; it must be 2 or more"),
        ("optimisation.learning_rate=-1", "learning_rate -1"),
        ("mix=[]", "mix at least one folder"),
        ("mix=[{count: 3}]", r"mix\.scenes is missing"),
        ("epsilon_high=0.1", "epsilon_high not under it"),
        ("iterations=3", "save_every is 10 and iterations 3"),
        ("reward.turn_costs=1", r"there is no reward\.turn_costs"),
        ("samples", r"'samples' must be NAME=VALUE"),
        ("held_out={scenes: s, every: 0}", "every is 0; it must be 1 or more"),
        ("held_out={scenes: s, patience: 0}", r"held_out\.patience is 0; it must be 1 or more, or left out"),
        ("held_out={scenes: s, side: 512}", r"there is no held_out\.side; there are scenes, count, every, patience"),
        ("optimisation.report_to=paper", "paper"),
    ],
)
def test_what_can_not_be_is_refused_with_the_files_name(change: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"grpo\.yaml: .*{sentence}"):
        read_yaml(SHIPPED / "grpo.yaml", GrpoRecipe, [change])


@pytest.mark.parametrize("text", ["- a list", "{", "a: b"])
def test_a_file_that_is_no_recipe(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"r\.yaml: "):
        read_yaml(tmp_path / "r.yaml", SftRecipe)


def test_a_server_needs_an_adapter() -> None:
    with pytest.raises(ValueError, match="a server gets a LoRA adapter after every step"):
        read_yaml(SHIPPED / "grpo.yaml", GrpoRecipe, ["server={model: x}", "lora=null"])


@pytest.mark.parametrize("name", ["deepspeed.yaml", "fsdp.yaml"])
def test_accelerate_reads_its_files(name: str) -> None:
    config = pytest.importorskip("accelerate.commands.config.config_args", reason="the extra [training] is missing")
    read: Any = config.load_config_from_file(str(SHIPPED / name))
    wanted = yaml.safe_load((SHIPPED / name).read_text())
    assert read.distributed_type.value == wanted["distributed_type"]
    assert read.num_processes == wanted["num_processes"]
