"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO in their published formats."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_cases import SIZE, box, write_coco
from pycocotools import mask as coco

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.datasets.plain_pickle import read_plain_pickle

SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]
FAR = [50.0, 40.0, 70.0, 40.0, 70.0, 50.0, 50.0, 50.0]
BOW_TIE = [10.0, 10.0, 30.0, 30.0, 30.0, 10.0, 10.0, 30.0]


def annotation(number: int, segmentation: Any, image_id: int = 1) -> dict[str, Any]:
    return {
        "id": number, "image_id": image_id, "category_id": 7, "segmentation": segmentation, "iscrowd": 0, "area": 400.0,
        "bbox": [10.0, 10.0, 20.0, 20.0],
    }  # fmt: skip


def ref(number: int, ann_id: Any, split: str = "val", sentences: int = 2, **more: Any) -> dict[str, Any]:
    """A ref as the pickles hold it: with more fields than are read."""
    said = [
        {"sent_id": 10 * number + k, "sent": f"sentence {k}", "raw": "Sentence", "tokens": ["sentence", str(k)]}
        for k in range(sentences)
    ]
    return {
        "ref_id": number, "ann_id": ann_id, "image_id": 1, "category_id": 7, "split": split, "sentences": said,
        "sent_ids": [one["sent_id"] for one in said], "file_name": "COCO_train2014_000000000001_1.jpg", **more,
    }  # fmt: skip


def dataset(folder: Path, split: str = "val", images: str = "") -> Dataset:
    return Dataset(folder.name, str(folder), split, images)


def loaded(folder: Path, split: str = "val") -> list[Example]:
    return [one.load() for one in list_examples(dataset(folder, split)) if isinstance(one, ExampleRef)]


@pytest.mark.parametrize("kind", ["refcoco", "refcoco+", "refcocog"])
def test_every_sentence_is_a_sample(tmp_path: Path, kind: str) -> None:
    folder = write_coco(tmp_path, kind, [ref(1, 5), ref(2, 5, "testA")], [annotation(5, [SQUARE])])
    first, second = loaded(folder)
    assert (first.instruction, second.instruction) == ("sentence 0", "sentence 1")
    assert first.id == f"{kind}-1-10".replace("+", "-")
    assert (first.category, first.source) == ("train", kind)
    assert (first.masks[0] == box(10, 10, 30, 30)).all()
    assert first.image.shape == (*SIZE, 3)
    assert [example.id[-2:] for example in loaded(folder, "testA")] == ["20", "21"]


def test_masks_are_those_of_pycocotools(tmp_path: Path) -> None:
    ring = [[12.3, 8.9, 33.1, 14.2, 20.7, 40.0], FAR]
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5, sentences=1)], [annotation(5, ring)])
    (example,) = loaded(folder)
    expected = coco.decode(coco.merge(coco.frPyObjects(ring, *SIZE)))
    assert (example.masks[0] == expected).all()


def test_run_lengths(tmp_path: Path) -> None:
    mask = box(10, 10, 30, 30)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel().astype(int), [0]])))
    counts = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
    runs = {"size": list(SIZE), "counts": counts}
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5, sentences=1)], [annotation(5, runs)])
    assert (loaded(folder)[0].masks[0] == mask).all()


def test_grefcoco_means_none_one_or_several(tmp_path: Path) -> None:
    refs = [ref(1, [-1], no_target=True), ref(2, [5], sentences=1), ref(3, [5, 6], sentences=1)]
    folder = write_coco(tmp_path, "grefcoco", refs, [annotation(5, [SQUARE]), annotation(6, [FAR])])
    examples = loaded(folder)
    assert [example.expected for example in examples] == [Outcome.NOT_IN_VIEW] * 2 + [Outcome.FOUND] * 2
    assert [example.category for example in examples[1:]] == ["no target", "single target", "several targets"]
    assert [len(example.masks) for example in examples] == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("refs", "annotations", "reason"),
    [
        ([ref(1, 5)], [annotation(5, [SQUARE], image_id=2)], "annotation 5 is of image 2, not of image 1"),
        ([ref(1, 9)], [annotation(5, [SQUARE])], "annotation 9 is not in instances.json"),
        ([ref(1, 5, image_id=3)], [annotation(5, [SQUARE])], "image 3 is not in instances.json"),
        ([ref(1, 5)], [annotation(5, [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]])], "odd number"),
        ([ref(1, 5)], [annotation(5, [])], "has no polygon"),
        ([ref(1, 5)], [annotation(5, {"size": [60, 81], "counts": [4860]})], "runs of size"),
        ([ref(1, 5)], [annotation(5, {"size": [60, 80], "counts": [4800, 9]})], "do not add up"),
    ],
)
def test_what_is_wrong_is_said_of_each_sentence(
    tmp_path: Path, refs: list[dict[str, Any]], annotations: list[dict[str, Any]], reason: str
) -> None:
    folder = write_coco(tmp_path, "refcoco", refs, annotations)
    for one in list_examples(dataset(folder)):
        assert isinstance(one, ExampleRef)
        assert "refs(unc).p, entry 1, sentence" in one.where
        with pytest.raises(ValueError, match=reason):
            one.load()


def test_image_of_another_size(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5)], [annotation(5, [SQUARE])])
    instances = json.loads((folder / "instances.json").read_text())
    instances["images"][0]["width"] = 81
    (folder / "instances.json").write_text(json.dumps(instances))
    one = next(iter(list_examples(dataset(folder))))
    assert isinstance(one, ExampleRef)
    with pytest.raises(ValueError, match="80 x 60 pixels, and 81 x 60"):
        one.load()


def test_a_polygon_that_crosses_itself_is_used_and_remarked_on(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5, sentences=1)], [annotation(5, [BOW_TIE])])
    (example,) = loaded(folder)
    assert example.remarks == ("polygon 1 of annotation 5 crosses itself",)


def test_an_entry_that_is_no_ref_is_skipped_with_its_place(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, "refcoco", [{"split": "val", "ref_id": "x"}, ref(1, 5)], [annotation(5, [SQUARE])])
    first, *others = list_examples(dataset(folder))
    assert isinstance(first, Skipped)
    assert first.where.endswith("refs(unc).p, entry 1")
    assert len(others) == 2


def test_a_pickle_that_runs_a_program_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            import os

            return os.mkdir, (str(tmp_path / "owned"),)

    folder = write_coco(tmp_path, "refcoco", [], [])
    (folder / "refs(unc).p").write_bytes(pickle.dumps([Evil()]))
    with pytest.raises(ValueError, match=r"it wants \w+\.mkdir; only plain containers"):
        list(list_examples(dataset(folder)))
    assert not (tmp_path / "owned").exists()


def test_plain_pickles_of_python_2_and_broken_ones(tmp_path: Path) -> None:
    path = tmp_path / "refs.p"
    path.write_bytes(
        b"(lp0\n(dp1\nS'sent'\np2\nV\\u00e9t\\u00e9\np3\nsS'n'\nI3\nsa."
    )  # protocol 0, as Python 2 wrote it
    assert read_plain_pickle(path) == [{"sent": "été", "n": 3}]
    for data in (b"", b"\x80\x02]q\x00(", b"not a pickle"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="not a pickle of plain data"):
            read_plain_pickle(path)


def test_the_same_refs_as_json(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5)], [annotation(5, [SQUARE])])
    before = [example.id for example in loaded(folder)]
    (folder / "refs(unc).json").write_text(json.dumps([ref(1, 5)]))
    (folder / "refs(unc).p").unlink()
    assert [example.id for example in loaded(folder)] == before


def test_missing_files_and_splits(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, "refcocog", [ref(1, 5)], [annotation(5, [SQUARE])])
    with pytest.raises(ValueError, match=r"has no split 'testA'; it has val"):
        list(list_examples(dataset(folder, "testA")))
    with pytest.raises(FileNotFoundError, match="--images"):
        list(list_examples(dataset(folder, images=str(tmp_path / "nowhere"))))
    (folder / "refs(umd).p").unlink()
    with pytest.raises(FileNotFoundError, match=r"refs\(umd\)\.p"):
        list(list_examples(dataset(folder)))
    with pytest.raises(ValueError, match="--split"):
        Dataset("refcoco", str(folder))
    with pytest.raises(ValueError, match="no splits"):
        Dataset("scenes", str(folder), "val")


# --- instances.json as people have it


PACKED = coco.encode(np.asfortranarray(box(10, 10, 30, 30).astype(np.uint8)))["counts"].decode()
ODD = annotation(77, [FAR])


@pytest.mark.parametrize(
    "odd",
    [
        {key: value for key, value in ODD.items() if key != "segmentation"},
        ODD | {"segmentation": None},
        ODD | {"segmentation": FAR},
        ODD | {"segmentation": "mask.png"},
        ODD | {"segmentation": {"counts": [1]}},
        ODD | {"image_id": "1"},
        ODD | {"image_id": None},
        ODD | {"category_id": "seven"},
        ODD | {"id": 77.0, "image_id": 1.0, "category_id": 7.0},
        ODD | {"id": "x"},
        {},
        None,
        [1, 2],
        "annotation",
    ],
)
def test_an_odd_annotation_that_nobody_means_costs_nothing(tmp_path: Path, odd: Any) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5)], [odd, annotation(5, [SQUARE]), odd])
    assert [(example.masks[0] == box(10, 10, 30, 30)).all() for example in loaded(folder)] == [True, True]


@pytest.mark.parametrize("odd", [{"id": 9, "file_name": "x.jpg"}, {"id": 9}, {"file_name": 3}, None, 7])
def test_an_odd_image_or_category_costs_nothing(tmp_path: Path, odd: Any) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5)], [annotation(5, [SQUARE])])
    instances = json.loads((folder / "instances.json").read_text())
    for name in ("images", "categories"):
        instances[name] = [odd, *instances[name]]
    (folder / "instances.json").write_text(json.dumps(instances))
    assert [example.category for example in loaded(folder)] == ["train", "train"]


def test_one_without_categories_or_with_numbers_that_json_does_not_have(tmp_path: Path) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5)], [annotation(5, [SQUARE]) | {"area": float("nan")}])
    instances = json.loads((folder / "instances.json").read_text())
    del instances["categories"]
    (folder / "instances.json").write_text(json.dumps(instances))
    assert [example.category for example in loaded(folder)] == ["", ""]


@pytest.mark.parametrize(
    "form",
    [
        {"id": 5.0, "image_id": "1", "category_id": "7"},
        {"segmentation": SQUARE},
        {"segmentation": {"size": [60, 80], "counts": PACKED}},
        {"segmentation": {"size": [60.0, 80.0], "counts": PACKED, "order": "F"}},
    ],
)
def test_other_ways_to_write_what_is_meant(tmp_path: Path, form: dict[str, Any]) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5, sentences=1)], [annotation(5, [SQUARE]) | form])
    (example,) = loaded(folder)
    overlap = (example.masks[0] & box(10, 10, 30, 30)).sum()
    assert overlap >= 400
    assert example.category == "train"


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "annotation 5"),
        ("mask.png", "neither polygons nor runs"),
        ({"counts": [4800]}, '"size"'),
        ({"size": [60, 80]}, '"counts"'),
        ({"size": [60, 80], "counts": None}, "counts"),
        ({"size": [60, 80], "counts": 3}, "counts"),
        ({"size": "60x80", "counts": [4800]}, "size"),
        ({"size": [60, 80], "counts": ["4800"]}, "do not add up"),
        ({"size": [60, 80], "counts": [-1, 4801]}, "do not add up"),
        ({"size": [80, 60], "counts": [4800]}, "runs of size"),
        ([["a"] * 6], "numbers"),
        ([None], "polygon 1"),
    ],
)
def test_a_broken_annotation_costs_its_own_sentences(tmp_path: Path, segmentation: Any, reason: str) -> None:
    refs = [ref(1, 5, sentences=1), ref(2, 6, sentences=1)]
    folder = write_coco(tmp_path, "refcoco", refs, [annotation(5, segmentation), annotation(6, [SQUARE])])
    broken, whole = list_examples(dataset(folder))
    assert isinstance(broken, ExampleRef)
    assert isinstance(whole, ExampleRef)
    with pytest.raises(ValueError, match=reason):
        broken.load()
    assert (whole.load().masks[0] == box(10, 10, 30, 30)).all()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5)], [annotation(5, [SQUARE])])
    text = (folder / "instances.json").read_text()
    (folder / "instances.json").write_bytes(text.encode(encoding))
    (folder / "refs(unc).json").write_bytes(json.dumps([ref(1, 5)]).encode(encoding))
    assert len(loaded(folder)) == 2


@pytest.mark.parametrize("content", ["[]", "{}", '{"images": []}', '{"images": 1, "annotations": []}', "{", ""])
def test_what_is_no_instances_json_is_told(tmp_path: Path, content: str) -> None:
    folder = write_coco(tmp_path, "refcoco", [ref(1, 5)], [annotation(5, [SQUARE])])
    (folder / "instances.json").write_text(content)
    with pytest.raises(ValueError, match=r"instances\.json"):
        list(list_examples(dataset(folder)))
