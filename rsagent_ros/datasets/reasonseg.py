"""ReasonSeg (LISA, arXiv 2308.00692): one JSON of polygons beside each image.

To get it: ReasonSeg.zip, linked from the section "Dataset" of https://github.com/dvlab-research/LISA; unpacked it is a
folder ReasonSeg with `train/`, `val/` and `test/`, each holding NAME.jpg and NAME.json. The JSON has

    {"text": ["the question", ...], "is_sentence": true, "shapes": [{"label": "target", "points": [[x, y], ...]}, ...]}

where a label that contains "ignore" marks pixels that leave both sums, and the label "flag" nothing at all. As in the
published evaluation, larger polygons are drawn first, outline and inside, coordinates cut to whole pixels, and the
first text is the question. An image without a target is scored as one where there is nothing to find, which is the same
arithmetic as there. The category is `long query` or `short query`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example, as_id
from rsagent_ros.data.files import MAX_FILE_BYTES, read_image
from rsagent_ros.data.ref import ExampleRef, Loader, Skipped
from rsagent_ros.data.text import as_utf8
from rsagent_ros.datasets.polygons import crosses_itself, polygon

_TARGET, _IGNORE = 1, 255


@dataclass(frozen=True)
class _Shape:
    label: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class _Annotation:
    text: list[str] | str
    shapes: list[_Shape]
    is_sentence: bool = True


def list_reasonseg(root: Path, split: str) -> Loader:
    """The examples of a split, by file name.

    Raises:
        FileNotFoundError: There is no such split in the folder.
    """
    folder = root / split
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        there = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        raise FileNotFoundError(f"{folder} holds no NAME.json; {root} holds the folders: {', '.join(there) or 'none'}")
    for path in files:
        try:
            name = as_id(path.stem)
        except ValueError as error:
            yield Skipped("", str(path), str(error))
        else:
            yield ExampleRef(name, str(path), partial(_load, path, name, split))


def _load(path: Path, name: str, split: str) -> Example:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"the file has over {MAX_FILE_BYTES} bytes")
    data = as_utf8(path.read_bytes())
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252")  # as some of the published files are
    try:
        annotation = msgspec.json.decode(text, type=_Annotation)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    texts = [annotation.text] if isinstance(annotation.text, str) else annotation.text
    if not texts or not texts[0].strip():
        raise ValueError("it has no text to ask with")
    image = read_image(path.with_suffix(".jpg"))
    drawn, remarks = _drawn(annotation.shapes, (image.shape[0], image.shape[1]))
    target, ignore = drawn == _TARGET, drawn == _IGNORE
    there = bool(target.any())
    return Example(
        name,
        image,
        texts[0],
        Outcome.FOUND if there else Outcome.NOT_IN_VIEW,
        (target,) if there else (),
        ignore=ignore if ignore.any() else None,
        source="ReasonSeg",
        split=split,
        tags=("long query" if annotation.is_sentence else "short query",),
        remarks=remarks,
    )


def _drawn(shapes: list[_Shape], size: tuple[int, int]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The label of each pixel, and what is odd about the polygons."""
    polygons: list[tuple[int, int, NDArray[np.int32]]] = []
    remarks: list[str] = []
    for number, shape in enumerate(shapes, 1):
        label = shape.label.lower()
        if label == "flag":
            continue
        try:
            points = polygon(shape.points)
        except ValueError as error:
            raise ValueError(f"shape {number}: {error}") from error
        if crosses_itself(points):
            remarks.append(f"shape {number} ({shape.label}) is a polygon that crosses itself")
        whole = points.astype(np.int32)
        area = int(np.count_nonzero(_filled(np.zeros(size, np.uint8), whole, 1)))
        polygons.append((area, _IGNORE if "ignore" in label else _TARGET, whole))
    canvas = np.zeros(size, np.uint8)
    for _, value, whole in sorted(polygons, key=lambda one: one[0], reverse=True):
        _filled(canvas, whole, value)
    return canvas, tuple(remarks)


def _filled(canvas: NDArray[np.uint8], points: NDArray[np.int32], value: int) -> Mask | NDArray[np.uint8]:
    cv2.polylines(canvas, [points], True, value, 1)
    cv2.fillPoly(canvas, [points], value)
    return canvas
