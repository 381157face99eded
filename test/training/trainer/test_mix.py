"""The scenes of reinforcement learning: as many of each folder as the recipe says, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_cases import scene

from rsagent_ros.data.folder import save_examples
from rsagent_training.recipe_parts import MixPart
from rsagent_training.trainer.mix import Mix


def folder(path: Path, numbers: range) -> str:
    save_examples((scene(number) for number in numbers), path)
    return str(path)


def ids(mix: Mix) -> list[str]:
    return [mix[number].id for number in range(len(mix))]


def test_counts_and_seed(tmp_path: Path) -> None:
    parts = [MixPart(folder(tmp_path / "own", range(6)), 2), MixPart(folder(tmp_path / "refcocog", range(10, 30)), 8)]
    mix = Mix(parts, seed=0)
    assert mix.counts == {parts[0].scenes: 2, parts[1].scenes: 8}
    assert len(set(ids(mix))) == 10
    assert ids(Mix(parts, seed=0)) == ids(mix)
    assert ids(Mix(parts, seed=1)) != ids(mix)


def test_without_a_count_all_are_taken(tmp_path: Path) -> None:
    assert len(Mix([MixPart(folder(tmp_path / "own", range(3)))], seed=0)) == 3


def test_too_few_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="own holds 3 scenes, and 5 are wanted"):
        Mix([MixPart(folder(tmp_path / "own", range(3)), 5)], seed=0)


def test_an_empty_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="own holds 0 scenes, and 1 are wanted"):
        Mix([MixPart(folder(tmp_path / "own", range(0)))], seed=0)


def test_a_missing_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scenes\.jsonl is missing"):
        Mix([MixPart(str(tmp_path / "nowhere"))], seed=0)
