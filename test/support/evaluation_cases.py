"""Small datasets in their published formats, and what the tests of the evaluation share."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fakes import FakePolicy, FakeSegmenter
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.backends import Models
from rsagent_ros.data.example import Example, blank_image
from rsagent_ros.data.folder import save_examples
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import Score, score

SIZE = (60, 80)


def box(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = SIZE) -> Mask:
    mask = np.zeros(size, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def truth(*masks: Mask, expected: Outcome | None = None, **more: Any) -> Example:
    right = expected or (Outcome.FOUND if masks else Outcome.NOT_IN_VIEW)
    return Example(more.pop("id", "sample"), blank_image(SIZE), "", right, masks, **more)


def found(mask: Mask, **more: Any) -> Prediction:
    return Prediction(Outcome.FOUND, mask, **more)


def scored(name: str = "a", index: int = 0, **more: Any) -> Score:
    """A score whose fields are set as the test wants them; `credit` is the IoU unless it is said."""
    made = score(found(box(0, 0, 10, 10)), truth(box(0, 0, 10, 10), id=name), index=index)
    return replace(made, **{"credit": more.get("iou", made.iou), **more})


def image(seed: int = 0, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[:, :, ::-1] if pixels.ndim == 3 else pixels)


def write_mask(path: Path, mask: Mask) -> None:
    write_image(path, mask.astype(np.uint8) * np.uint8(255))


def write_scenes(folder: Path, count: int = 6) -> Path:
    """Scenes whose target is the middle that FakePolicy finds, ever a bit further away; every third has none."""
    scenes = []
    for number in range(count):
        absent = number % 3 == 2
        masks = () if absent else (box(20 + number, 15, 60 + number, 45),)
        expected = Outcome.NOT_IN_VIEW if absent else Outcome.FOUND
        kind = "absent" if absent else "there"
        words = f"the thing {number}"
        scenes.append(Example(f"s{number:03}", image(number), words, expected, masks, source="test", tags=(kind,)))
    save_examples(scenes, folder)
    return folder


def write_drawn(folder: Path) -> Path:
    """Two questions about a drawing that the reference agent answers: the red thing is there, a green one is not."""
    pixels = np.full((120, 160, 3), 230, np.uint8)
    pixels[40:80, 50:100] = (200, 30, 30)
    write_image(folder / "a.png", pixels)
    write_mask(folder / "m.png", box(50, 40, 100, 80, (120, 160)))
    rows: list[dict[str, Any]] = [
        {"instruction": "the red thing", "masks": ["m.png"]},
        {"instruction": "a green thing"},
    ]
    lines = [json.dumps({"id": f"s{number}", "image": "a.png", **row}) for number, row in enumerate(rows)]
    (folder / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def fake_models(policy: FakePolicy | None = None, segmenter: FakeSegmenter | None = None) -> Models:
    return Models(policy or FakePolicy(count_tokens=True, remember=False), segmenter or FakeSegmenter(remember=False))


def write_coco(root: Path, kind: str, refs: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]]) -> Path:
    """A folder of RefCOCO's kind with two images, 1 and 2, of SIZE; returns the dataset's own folder."""
    folder = root / kind
    folder.mkdir(parents=True)
    images = []
    for number in (1, 2):
        name = f"COCO_train2014_{number:012}.jpg"
        write_image(root / "train2014" / name, image(number))
        images.append({"id": number, "file_name": name, "width": SIZE[1], "height": SIZE[0], "license": 1})
    categories = [{"id": 7, "name": "train", "supercategory": "vehicle"}]
    instances = {"info": {}, "images": images, "annotations": list(annotations), "categories": categories}
    (folder / "instances.json").write_text(json.dumps(instances))
    if kind == "grefcoco":
        (folder / "grefs(unc).json").write_text(json.dumps(list(refs)))
    else:
        split_by = "umd" if kind == "refcocog" else "unc"
        (folder / f"refs({split_by}).p").write_bytes(pickle.dumps(list(refs), protocol=2))
    return folder
