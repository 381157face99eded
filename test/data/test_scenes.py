"""Example folders as a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import SIZE, box, image, write_scenes

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import load_examples, save_examples
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset, list_examples


def test_scenes_are_what_load_examples_gives(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    listed = list(list_examples(Dataset("scenes", str(tmp_path))))
    for one, scene in zip(listed, load_examples(tmp_path), strict=True):
        assert isinstance(one, ExampleRef)
        example = one.load()
        assert (one.id, example.instruction, example.expected) == (scene.id, scene.instruction, scene.expected)
        assert (example.image == scene.image).all()
        assert all((a == b).all() for a, b in zip(example.masks, scene.masks, strict=True))


def test_a_wrong_line_and_a_wrong_image(tmp_path: Path) -> None:
    write_scenes(tmp_path, 3)
    rows = (tmp_path / "scenes.jsonl").read_text().splitlines()
    (tmp_path / "scenes.jsonl").write_text("\n".join([rows[0], '{"id": 3}', *rows[1:]]) + "\n")
    (tmp_path / json.loads(rows[1])["image"]).write_bytes(b"")
    first, wrong, second, third = list_examples(Dataset("scenes", str(tmp_path)))
    assert isinstance(wrong, Skipped)
    assert wrong.where.endswith("scenes.jsonl, line 2")
    assert isinstance(second, ExampleRef)
    with pytest.raises(ValueError, match="is not a PNG"):
        second.load()
    for one in (first, third):
        assert isinstance(one, ExampleRef)
        one.load()


def test_depth_of_nothing_but_nan(tmp_path: Path) -> None:
    depth = np.full(SIZE, np.nan, np.float32)
    save_examples([Example("a", image(), "x", Outcome.FOUND, (box(0, 0, 9, 9),), depth=depth)], tmp_path)
    (one,) = list_examples(Dataset("scenes", str(tmp_path)))
    assert isinstance(one, ExampleRef)
    assert "NaN" in one.load().remarks[0]


def test_no_scenes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scenes\.jsonl is missing"):
        list(list_examples(Dataset("scenes", str(tmp_path))))
