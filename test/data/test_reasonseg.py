"""ReasonSeg in its published format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evaluation_cases import SIZE, image, write_image

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.datasets import Dataset, list_examples


def shape(label: str, *points: tuple[float, float]) -> dict[str, Any]:
    return {"label": label, "labels": [label], "shape_type": "polygon", "image_name": "x.jpg", "points": points}


def rectangle(label: str, x0: float, y0: float, x1: float, y1: float) -> dict[str, Any]:
    return shape(label, (x0, y0), (x1, y0), (x1, y1), (x0, y1))


def write(root: Path, *shapes: dict[str, Any], name: str = "a", **more: Any) -> Path:
    write_image(root / "val" / f"{name}.jpg", image())
    row = {"text": ["where would one sit?", "a second text"], "is_sentence": True, "shapes": list(shapes), **more}
    (root / "val" / f"{name}.json").write_text(json.dumps(row))
    return root


def load(root: Path) -> Example:
    (one,) = list_examples(Dataset("reasonseg", str(root), "val"))
    assert isinstance(one, ExampleRef)
    return one.load()


def test_target_ignore_and_flag(tmp_path: Path) -> None:
    example = load(
        write(
            tmp_path,
            rectangle("ignore", 35, 15, 39, 25),
            rectangle("target", 10.9, 10.2, 40.7, 30.0),
            rectangle("flag", 0, 0, 79, 59),
        )
    )
    expected = np.zeros(SIZE, np.uint8)
    expected[10:31, 10:41] = 1  # cut to whole pixels, outline included
    expected[15:26, 35:40] = 255
    assert (example.masks[0] == (expected == 1)).all()
    assert example.ignore is not None
    assert (example.ignore == (expected == 255)).all()
    assert (example.instruction, example.category) == ("where would one sit?", "long query")


def test_larger_polygons_are_drawn_first(tmp_path: Path) -> None:
    example = load(write(tmp_path, rectangle("target", 20, 20, 25, 25), rectangle("IGNORE region", 10, 10, 50, 50)))
    assert example.masks[0].sum() == 36
    assert example.ignore is not None
    assert not (example.ignore & example.masks[0]).any()


def test_published_arithmetic(tmp_path: Path) -> None:
    """The drawing agrees with OpenCV's outline and filling on a slanted polygon."""
    points = [(12.7, 5.1), (60.2, 20.9), (33.3, 55.5)]
    example = load(write(tmp_path, shape("target", *points), is_sentence=False))
    canvas = np.zeros(SIZE, np.uint8)
    whole = [np.array(points, dtype=np.int32)]
    cv2.polylines(canvas, whole, True, 1, 1)
    cv2.fillPoly(canvas, whole, 1)
    assert (example.masks[0] == (canvas == 1)).all()
    assert example.category == "short query"


def test_nothing_to_find(tmp_path: Path) -> None:
    assert load(write(tmp_path)).expected is Outcome.NOT_IN_VIEW


def test_a_file_of_another_encoding(tmp_path: Path) -> None:
    write(tmp_path, rectangle("target", 10, 10, 40, 30))
    row = {"text": ["where\u2019s the caf\u00e9?"], "is_sentence": True, "shapes": []}
    (tmp_path / "val/a.json").write_bytes(json.dumps(row, ensure_ascii=False).encode("cp1252"))
    assert load(tmp_path).instruction == "where\u2019s the caf\u00e9?"


def test_a_polygon_that_crosses_itself_is_used_and_remarked_on(tmp_path: Path) -> None:
    example = load(write(tmp_path, shape("target", (10, 10), (40, 40), (40, 10), (10, 40))))
    assert example.remarks == ("shape 1 (target) is a polygon that crosses itself",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shapes": [{"label": "target", "points": [[1, 2], [3, 4]]}]}, "shape 1: a polygon has"),
        ({"shapes": [{"label": "target", "points": [[1, 2], [3, 4], [5, 1e9]]}]}, "beyond a million"),
        ({"shapes": [{"points": []}]}, "missing required field `label`"),
        ({"text": []}, "no text"),
    ],
)
def test_wrong_annotations(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    write(tmp_path, **change)
    with pytest.raises(ValueError, match=reason):
        load(tmp_path)


def test_wrong_images(tmp_path: Path) -> None:
    write(tmp_path, rectangle("target", 10, 10, 40, 30))
    (tmp_path / "val/a.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="has 0 bytes"):
        load(tmp_path)
    (tmp_path / "val/a.jpg").unlink()
    with pytest.raises(ValueError, match="missing"):
        load(tmp_path)


def test_missing_split(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds the folders: val"):
        list(list_examples(Dataset("reasonseg", str(tmp_path), "test")))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    root = write(tmp_path, rectangle("target", 10, 10, 30, 30))
    file = root / "val" / "a.json"
    file.write_bytes(file.read_text().encode(encoding))
    assert load(root).instruction == "where would one sit?"
