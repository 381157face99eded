"""The sets of samples there are, one file each; every one follows its published format, and says how to get the data.

`list_samples` lists them all alike: cheap to list, loaded one at a time, each error with its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rsagent_ros.data.sample import Listed, Skipped
from rsagent_ros.datasets.masks import list_masks
from rsagent_ros.datasets.reasonseg import list_reasonseg
from rsagent_ros.datasets.records import list_bag, list_records
from rsagent_ros.datasets.refer import REFS, list_refer
from rsagent_ros.datasets.scenes import list_scenes

KINDS = ("scenes", "records", "bag", "masks", "reasonseg", *REFS)


@dataclass(frozen=True)
class Dataset:
    """Which samples.

    Attributes:
        kind: One of KINDS.
        path: Its folder (of records and bags, a file or a folder).
        split: Of the published ones, such as `val`.
        images: Of RefCOCO and its kin: the folder of COCO's train2014 images; empty for `train2014` beside `path`.

    Raises:
        ValueError: An unknown kind, or a split that is missing or has no meaning.
    """

    kind: str
    path: str
    split: str = ""
    images: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no dataset {self.kind!r}; choose one of {', '.join(KINDS)}")
        published = self.kind == "reasonseg" or self.kind in REFS
        if published and not self.split:
            raise ValueError(f"{self.kind} has splits; name one with --split, such as val")
        if self.split and not published:
            raise ValueError(f"{self.kind} has no splits; leave --split {self.split} out")


def list_samples(dataset: Dataset, *, asked: bool = True) -> Iterator[Listed | Skipped]:
    """The samples of a dataset in its order; of two with one id the first counts.

    Args:
        dataset: Which.
        asked: The agent is to be run on them; without, masks alone are enough where the format allows it.

    Raises:
        OSError: The dataset is not there.
        ValueError: It is none of that kind.
    """
    first: dict[str, str] = {}
    for one in _listed(dataset, asked):
        if isinstance(one, Listed) and one.id in first:
            yield Skipped(one.id, one.place, f"its id is that of {first[one.id]}, which counts")
            continue
        if isinstance(one, Listed):
            first[one.id] = one.place
        yield one


def _listed(dataset: Dataset, asked: bool) -> Iterator[Listed | Skipped]:
    path = Path(dataset.path)
    match dataset.kind:
        case "scenes":
            return list_scenes(path)
        case "records":
            return list_records(path)
        case "bag":
            return list_bag(path)
        case "masks":
            return list_masks(path, asked=asked)
        case "reasonseg":
            return list_reasonseg(path, dataset.split)
        case _:
            images = Path(dataset.images) if dataset.images else path.parent / "train2014"
            return list_refer(dataset.kind, path, dataset.split, images)
