"""A run on disk: which recipe it was started with."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_cases import grpo_recipe, sft_recipe

from rsagent_ros.yaml_file import write_yaml
from rsagent_training.trainer.run_folder import read_recipe


def test_the_recipe_of_either_stage_is_read(tmp_path: Path) -> None:
    # The other stage's word in a value says nothing.
    recipes = (sft_recipe(tmp_path / "mix: a"), grpo_recipe(tmp_path / "trajectories:old"))
    for recipe in recipes:
        write_yaml(recipe, tmp_path / "recipe.yaml")
        assert read_recipe(tmp_path) == recipe


@pytest.mark.parametrize("text", ["trajectories: [", "batch: 2", "- 1", ""])
def test_a_damaged_recipe_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"recipe\.yaml: "):
        read_recipe(tmp_path)
