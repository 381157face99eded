"""A robot's own records and bags: a goal counts as truth only where somebody gave a verdict on it.

Records are written by the node with its parameter `record_dir`, bags by anybody who records the camera, `~/result` and
`~/verdict`; goals are judged with `rsagent label` or over `~/verdict`. Of several
verdicts the newest counts: accepted means that the answer was right, a corrected mask is the truth itself, absent means
that there was nothing to find. Rejected without a correction says only what is not true, and so is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.data.example import as_id
from rsagent_ros.data.ref import Loader, Skipped, loaded

if TYPE_CHECKING:
    from rsagent_ros.records.record import Record


def list_records(path: Path) -> Loader:
    """The records of a file or folder that have a truth; the others as Skipped, and not as faults.

    Raises:
        FileNotFoundError: There are no records at that path.
    """
    from rsagent_ros.records.reader import read_records  # bags and their types, only where they are read

    yield from _with_truth(path, read_records)


def list_bag(path: Path) -> Loader:
    """The judged goals of a rosbag2 bag, each on the image that it was answered on.

    Raises:
        FileNotFoundError: There is no bag at that path.
        ValueError: It has no camera, or several.
    """
    from rsagent_ros.records.bag_records import bag_records

    yield from _with_truth(path, bag_records)


def _with_truth(path: Path, read: Callable[[Path, Callable[[str], object]], Iterator[Record]]) -> Loader:
    complaints: list[str] = []
    for number, record in enumerate(read(path, complaints.append), 1):
        yield from _complaints(path, complaints)
        where = f"{path}, goal {record.goal_id or number}"
        try:
            name = as_id(record.goal_id or f"goal-{number}")
        except ValueError as error:
            yield Skipped(record.goal_id, where, str(error))
            continue
        if not record.verdicts:
            yield Skipped(name, where, "nobody gave a verdict on it", fault=False)
            continue
        if record.redaction == "surroundings":
            yield Skipped(name, where, "its image is redacted: only what was found is left of it", fault=False)
            continue
        try:
            example = record.to_example(name)
        except ValueError as error:
            yield Skipped(name, where, str(error))
            continue
        if example.expected is None:
            yield Skipped(name, where, "its answer was rejected, and what is right was not said", fault=False)
            continue
        yield loaded(example, where)
    yield from _complaints(path, complaints)


def _complaints(path: Path, complaints: list[str]) -> Iterator[Skipped]:
    """The parts of a file, or all of it, that its reader could not read."""
    while complaints:
        yield Skipped("", str(path), complaints.pop(0))
