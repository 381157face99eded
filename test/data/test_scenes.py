"""Scene folders as a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import SIZE, box, image, write_scenes

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.sample import Listed, Skipped
from rsagent_ros.data.scene import Scene, load_scenes, save_scenes
from rsagent_ros.datasets import Dataset, list_samples


def test_scenes_are_what_load_scenes_gives(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    listed = list(list_samples(Dataset("scenes", str(tmp_path))))
    for one, scene in zip(listed, load_scenes(tmp_path), strict=True):
        assert isinstance(one, Listed)
        sample = one.load()
        assert (one.id, sample.instruction, sample.truth.expected) == (scene.id, scene.instruction, scene.expected)
        assert (sample.image == scene.image).all()
        assert all((a == b).all() for a, b in zip(sample.truth.masks, scene.masks, strict=True))


def test_a_wrong_line_and_a_wrong_image(tmp_path: Path) -> None:
    write_scenes(tmp_path, 3)
    rows = (tmp_path / "scenes.jsonl").read_text().splitlines()
    (tmp_path / "scenes.jsonl").write_text("\n".join([rows[0], '{"id": 3}', *rows[1:]]) + "\n")
    (tmp_path / json.loads(rows[1])["image"]).write_bytes(b"")
    first, wrong, second, third = list_samples(Dataset("scenes", str(tmp_path)))
    assert isinstance(wrong, Skipped)
    assert wrong.place.endswith("scenes.jsonl, line 2")
    assert isinstance(second, Listed)
    with pytest.raises(ValueError, match="is not a PNG"):
        second.load()
    for one in (first, third):
        assert isinstance(one, Listed)
        one.load()


def test_depth_of_nothing_but_nan(tmp_path: Path) -> None:
    depth = np.full(SIZE, np.nan, np.float32)
    save_scenes([Scene("a", image(), "x", Outcome.FOUND, (box(0, 0, 9, 9),), "", "", depth)], tmp_path)
    (one,) = list_samples(Dataset("scenes", str(tmp_path)))
    assert isinstance(one, Listed)
    assert "NaN" in one.load().truth.remarks[0]


def test_no_scenes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scenes\.jsonl is missing"):
        list(list_samples(Dataset("scenes", str(tmp_path))))
