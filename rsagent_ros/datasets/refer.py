"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO: sentences about COCO's train2014 images.

To get them: `refcoco.zip`, `refcoco+.zip` and `refcocog.zip` as https://github.com/lichengunc/refer describes, and
`grefcoco` from https://github.com/henghuiding/gRefCOCO; the images are train2014.zip of https://cocodataset.org. In a
folder of its own each has

    refcoco/refs(unc).p  refcoco+/refs(unc).p  refcocog/refs(umd).p  grefcoco/grefs(unc).json  and  instances.json

Splits: val, testA, testB of the UNC ones and gRefCOCO; val and test of RefCOCOg (UMD), which has no testA.

The refs of RefCOCO/+/g are pickles, and unpickling runs programs: they are read by an unpickler that knows plain
containers only. The same list as JSON beside it (`refs(unc).json`) is read instead where it is there.

Every sentence is an example. A gRefCOCO sentence may mean several annotations, or none (`ann_id` [-1]). Masks are drawn
by pycocotools, as published. The category is COCO's, for gRefCOCO `no target`, `single target` or `several targets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from pycocotools import mask as coco

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example, as_id
from rsagent_ros.data.files import decode_runs, inside, read_image
from rsagent_ros.data.ref import ExampleRef, Loader, Skipped
from rsagent_ros.data.text import read_json
from rsagent_ros.datasets.plain_pickle import read_plain_pickle
from rsagent_ros.datasets.polygons import crosses_itself, polygon

REFS = {"refcoco": "refs(unc)", "refcoco+": "refs(unc)", "refcocog": "refs(umd)", "grefcoco": "grefs(unc)"}


T = TypeVar("T")


@dataclass(frozen=True)
class _Image:
    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class _Annotation:
    id: int
    image_id: int
    segmentation: Any
    category_id: Any = None


@dataclass(frozen=True)
class _Sentence:
    sent_id: int
    sent: str


@dataclass(frozen=True)
class _Ref:
    ref_id: int
    image_id: int
    split: str
    sentences: list[_Sentence]
    ann_id: int | list[int]
    no_target: bool = False

    @property
    def ann_ids(self) -> list[int]:
        """The annotations that are meant; none for what is not there."""
        ids = self.ann_id if isinstance(self.ann_id, list) else [self.ann_id]
        return [] if self.no_target or ids == [-1] else ids


class _Index:
    """instances.json by id. An entry is looked at when it is asked for: an odd one costs only those that mean it."""

    def __init__(self, path: Path, images: Path) -> None:
        try:
            instances = read_json(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        for name in ("images", "annotations"):
            if not (isinstance(instances, dict) and isinstance(instances.get(name), list)):
                raise ValueError(f"{path} has no list {name!r}, so it is no instances.json of COCO")
        categories = instances.get("categories")
        self.folder = images
        self._images = _by_id(instances["images"])
        self._annotations = _by_id(instances["annotations"])
        self._categories = _by_id(categories if isinstance(categories, list) else [])

    def image(self, number: int) -> _Image:
        """The image of that id.

        Raises:
            ValueError: There is none, or without a name or a size.
        """
        return _entry("image", self._images, number, _Image)

    def annotation(self, number: int) -> _Annotation:
        """The annotation of that id.

        Raises:
            ValueError: There is none, or without an image or a segmentation.
        """
        return _entry("annotation", self._annotations, number, _Annotation)

    def category(self, number: object) -> str:
        """The name of a category; empty where it has none."""
        known = _whole(number)
        return str(self._categories.get(known, {}).get("name") or "") if known is not None else ""


def _by_id(entries: list[Any]) -> dict[int, dict[str, Any]]:
    found = {}
    for entry in entries:
        number = _whole(entry.get("id")) if isinstance(entry, dict) else None
        if number is not None:
            found[number] = entry
    return found


def _whole(value: object) -> int | None:
    """A whole number, also one written as 7.0 or in quotes; else None."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.strip().isdigit() else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if type(value) is int else None


def _entry(kind: str, entries: dict[int, dict[str, Any]], number: int, form: type[T]) -> T:
    entry = entries.get(number)
    if entry is None:
        raise ValueError(f"{kind} {number} is not in instances.json")
    whole = {key: value if (known := _whole(value)) is None else known for key, value in entry.items()}
    whole |= {"file_name": entry.get("file_name"), "segmentation": entry.get("segmentation")}
    try:
        return msgspec.convert({key: value for key, value in whole.items() if value is not None}, form)
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind} {number} of instances.json: {error}") from error


def list_refer(kind: str, root: Path, split: str, images: Path) -> Loader:
    """The sentences of a split, in the order of the file.

    Args:
        kind: One of REFS.
        root: Folder that holds the refs and instances.json of this one dataset.
        split: Such as `testA`.
        images: Folder that holds COCO_train2014_*.jpg.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is not what it should be, or there is no such split.
    """
    place, rows = _read_refs(root / REFS[kind])
    if not images.is_dir():
        raise FileNotFoundError(f"{images} is missing; name the folder of COCO's train2014 images with --images")
    index = _Index(root / "instances.json", images)
    splits = {str(row.get("split")) for row in rows if isinstance(row, dict)}
    if split not in splits:
        raise ValueError(f"{place} has no split {split!r}; it has {', '.join(sorted(splits))}")
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict) and row.get("split") != split:
            continue
        where = f"{place}, entry {number}"
        try:
            ref = msgspec.convert(row, type=_Ref)
        except (msgspec.ValidationError, RecursionError) as error:
            yield Skipped("", where, str(error))
            continue
        for sentence in ref.sentences:
            name = as_id(f"{kind}-{ref.ref_id}-{sentence.sent_id}")
            yield ExampleRef(
                name,
                f"{where}, sentence {sentence.sent_id}",
                partial(_load, kind, name, ref, sentence.sent, index),
            )


def _read_refs(stem: Path) -> tuple[Path, list[Any]]:
    """The list of refs, from JSON where it is there, else from the pickle."""
    as_json, as_pickle = stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".p")
    if as_json.is_file():
        path = as_json
        try:
            rows = read_json(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    elif as_pickle.is_file():
        path, rows = as_pickle, read_plain_pickle(as_pickle)
    else:
        raise FileNotFoundError(f"neither {as_pickle} nor {as_json.name} is there; name the dataset's own folder")
    if not isinstance(rows, list):
        raise ValueError(f"{path} holds {type(rows).__name__}, not a list of refs")
    return path, rows


def _load(kind: str, name: str, ref: _Ref, text: str, index: _Index) -> Example:
    known = index.image(ref.image_id)
    image = read_image(inside(index.folder, known.file_name))
    if image.shape[:2] != (known.height, known.width):
        raise ValueError(
            f"the image {known.file_name} is {image.shape[1]} x {image.shape[0]} pixels, "
            f"and {known.width} x {known.height} in instances.json"
        )
    masks: list[Mask] = []
    remarks: list[str] = []
    category = {0: "no target", 1: "single target"}.get(len(ref.ann_ids), "several targets")
    for ann_id in ref.ann_ids:
        annotation = index.annotation(ann_id)
        if annotation.image_id != ref.image_id:
            raise ValueError(f"annotation {ann_id} is of image {annotation.image_id}, not of image {ref.image_id}")
        if kind != "grefcoco":
            category = index.category(annotation.category_id)
        mask, odd = _mask(annotation, known)
        masks.append(mask)
        remarks += odd
    expected = Outcome.FOUND if masks else Outcome.NOT_IN_VIEW
    tags = (category,) if category else ()
    return Example(
        name, image, text, expected, tuple(masks), source=kind, split=ref.split, tags=tags, remarks=tuple(remarks)
    )


def _mask(annotation: _Annotation, image: _Image) -> tuple[Mask, list[str]]:
    """The mask of an annotation, and what is odd about it."""
    height, width = image.height, image.width
    remarks: list[str] = []
    shapes = annotation.segmentation
    if isinstance(shapes, dict):
        return _of_runs(annotation, height, width), remarks
    if not isinstance(shapes, list):
        raise ValueError(f"annotation {annotation.id} has the segmentation {shapes!r:.60}, neither polygons nor runs")
    if shapes and all(isinstance(number, int | float) for number in shapes):
        remarks.append(f"annotation {annotation.id} has one polygon that is not in a list of polygons")
        shapes = [shapes]
    parts = []
    for number, flat in enumerate(shapes, 1):
        if not isinstance(flat, list) or len(flat) % 2:
            raise ValueError(f"annotation {annotation.id}: polygon {number} has an odd number of coordinates")
        if len(flat) < 6:  # COCO has a few
            remarks.append(f"polygon {number} of annotation {annotation.id} has under three points, and is left out")
            continue
        points = polygon([flat[at : at + 2] for at in range(0, len(flat), 2)])
        if crosses_itself(points):
            remarks.append(f"polygon {number} of annotation {annotation.id} crosses itself")
        parts.append(points.ravel().tolist())
    if not parts:
        raise ValueError(f"annotation {annotation.id} has no polygon of three points")
    drawn = coco.decode(coco.merge(coco.frPyObjects(parts, height, width)))
    return np.asarray(drawn, dtype=np.bool_), remarks


def _of_runs(annotation: _Annotation, height: int, width: int) -> Mask:
    """The mask of run lengths in either of COCO's forms."""
    try:
        mask = decode_runs(annotation.segmentation)
    except ValueError as error:
        raise ValueError(f"annotation {annotation.id}: {error}") from error
    if mask.shape != (height, width):
        raise ValueError(f"annotation {annotation.id}: runs of size {[*mask.shape]}, the image is {[height, width]}")
    return mask
