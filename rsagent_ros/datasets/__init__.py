"""Data sets, one loader a file; each follows its published format, and says how to get the data.

`list_examples` lists them all alike: cheap to list, loaded one at a time, each error with its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsagent_ros.data.ref import Loader, first_of_each_id
from rsagent_ros.datasets.masks import list_masks
from rsagent_ros.datasets.reasonseg import list_reasonseg
from rsagent_ros.datasets.records import list_bag, list_records
from rsagent_ros.datasets.refer import REFS, list_refer
from rsagent_ros.datasets.scenes import list_scenes

KINDS = ("scenes", "records", "bag", "masks", "reasonseg", *REFS)


@dataclass(frozen=True)
class Dataset:
    """A data set as a command line names it.

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


def list_examples(dataset: Dataset, *, masks_only: bool = False) -> Loader:
    """The examples of a data set in its order; of two with one id the first counts.

    Args:
        dataset: The data set.
        masks_only: Images and instructions may be missing where the format allows it: masks are to be compared, and no
            agent to be run.

    Raises:
        OSError: The data set is not there.
        ValueError: It is none of that kind.
    """
    return first_of_each_id(_loader(dataset, masks_only))


def _loader(dataset: Dataset, masks_only: bool) -> Loader:
    path = Path(dataset.path)
    match dataset.kind:
        case "scenes":
            return list_scenes(path)
        case "records":
            return list_records(path)
        case "bag":
            return list_bag(path)
        case "masks":
            return list_masks(path, masks_only=masks_only)
        case "reasonseg":
            return list_reasonseg(path, dataset.split)
        case _:
            images = Path(dataset.images) if dataset.images else path.parent / "train2014"
            return list_refer(dataset.kind, path, dataset.split, images)
