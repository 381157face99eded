"""Masks of one's own: truth.jsonl and folders of PNG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_cases import SIZE, box, image, write_image, write_mask

from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset, list_examples

MASK = box(10, 10, 30, 30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image(tmp_path / "images/a.png", image())
    write_mask(tmp_path / "masks/a.png", MASK)
    return tmp_path


def write(folder: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def listed(folder: Path, *, masks_only: bool = False) -> list[ExampleRef | Skipped]:
    return list(list_examples(Dataset("masks", str(folder)), masks_only=masks_only))


def load(folder: Path, *, masks_only: bool = False) -> Example:
    (one,) = listed(folder, masks_only=masks_only)
    assert isinstance(one, ExampleRef), one
    return one.load()


ROW = {"id": "a", "image": "images/a.png", "instruction": "the box"}


def test_png_and_run_lengths_are_the_same(folder: Path) -> None:
    for mask in ("masks/a.png", encode_rle(MASK)):
        example = load(write(folder, {**ROW, "masks": [mask], "category": "boxes"}))
        assert (example.masks[0] == MASK).all()
        assert (example.expected, example.category) == (Outcome.FOUND, "boxes")
        assert (example.image == image()).all()


def test_expected_outcomes(folder: Path) -> None:
    assert load(write(folder, ROW)).expected is Outcome.NOT_IN_VIEW
    two = [encode_rle(MASK), encode_rle(box(40, 40, 50, 50))]
    assert load(write(folder, {**ROW, "masks": two, "expected": "ambiguous"})).expected is Outcome.AMBIGUOUS
    ignore = load(write(folder, {**ROW, "masks": two, "ignore": "masks/a.png"})).ignore
    assert ignore is not None
    assert (ignore == MASK).all()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "truncated"),
        ({"id": "../a"}, "use letters"),
        ({**ROW, "mask": []}, "unknown field `mask`"),
        ({**ROW, "expected": "maybe"}, "Invalid enum value"),
        ([1], "Expected `object`"),
    ],
)
def test_wrong_lines_are_skipped_with_their_number(folder: Path, row: Any, reason: str) -> None:
    wrong, right = listed(write(folder, row, {**ROW, "masks": ["masks/a.png"]}))
    assert isinstance(wrong, Skipped)
    assert wrong.where == f"{folder / 'truth.jsonl'}, line 1"
    assert reason in wrong.reason
    assert isinstance(right, ExampleRef)
    assert right.where.endswith("line 2")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"masks": [encode_rle(box(0, 0, 5, 5, (60, 81)))]}, "mask 1 is 81 x 60, the image 80 x 60"),
        ({"masks": [encode_rle(np.zeros(SIZE, np.bool_))]}, "mask 1 is empty"),
        ({"masks": ["masks/a.png"], "expected": "not_in_view"}, "do not fit"),
        ({"masks": ["masks/a.png"], "expected": "ambiguous"}, "do not fit"),
        ({"masks": [{"size": [60, 80], "counts": "!!"}]}, "characters that COCO"),
        ({"masks": ["../outside.png"]}, "outside of"),
        ({"masks": ["masks/none.png"]}, "missing"),
        ({"masks": ["masks/empty.png"]}, "has 0 bytes"),
        ({"masks": ["images/a.png"]}, "holds colours"),
        ({"masks": ["masks/a.png"], "instruction": " "}, "needed to run the agent"),
        ({"image": "masks/none.png"}, "missing"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_loaded(folder: Path, change: dict[str, Any], reason: str) -> None:
    (folder / "masks/empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match=reason):
        load(write(folder, {**ROW, **change}))


def test_of_two_with_one_id_the_first_counts(folder: Path) -> None:
    first, second = listed(write(folder, {**ROW, "instruction": "first"}, ROW))
    assert isinstance(first, ExampleRef)
    assert isinstance(second, Skipped)
    assert second.where.endswith("line 2")
    assert "truth.jsonl, line 1" in second.reason


def test_depth_without_a_single_distance_is_remarked_on(folder: Path) -> None:
    write_image(folder / "depth.png", np.zeros(SIZE, np.uint16))
    (remark,) = load(write(folder, {**ROW, "depth": "depth.png"})).remarks
    assert "nothing but NaN" in remark
    write_image(folder / "depth.png", np.full(SIZE, 800, np.uint16))
    assert load(write(folder, {**ROW, "depth": "depth.png"})).remarks == ()


def test_masks_alone_can_be_scored(folder: Path) -> None:
    row = {"id": "a", "masks": [encode_rle(MASK)]}
    assert load(write(folder, row), masks_only=True).shape == SIZE
    assert load(write(folder, {"id": "a", "size": [6, 8]}), masks_only=True).shape == (6, 8)
    with pytest.raises(ValueError, match="size"):
        load(write(folder, {"id": "a"}), masks_only=True)


def test_a_folder_of_png(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", MASK)
    write_mask(tmp_path / "b.png", np.zeros(SIZE, np.bool_))
    a, b = (one.load() for one in listed(tmp_path, masks_only=True) if isinstance(one, ExampleRef))
    assert (a.id, a.expected, b.id, b.expected) == ("a", Outcome.FOUND, "b", Outcome.NOT_IN_VIEW)
    with pytest.raises(FileNotFoundError, match=r"truth\.jsonl is missing"):
        listed(tmp_path)
