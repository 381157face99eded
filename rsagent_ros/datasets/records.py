"""A robot's own records and bags: a goal counts as truth only where somebody gave a verdict on it.

Records are written by the node with its parameter `record_dir`, bags by anybody who records the camera, `~/result` and
`~/verdict`; goals are judged with `rsagent label` or over `~/verdict`. Of several
verdicts the newest counts: accepted means that the answer was right, a corrected mask is the truth itself, absent means
that there was nothing to find. Rejected without a correction says only what is not true, and so is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.files import depth_remarks
from rsagent_ros.data.sample import Listed, Sample, Skipped, Truth, as_id
from rsagent_ros.records.record import newest

if TYPE_CHECKING:
    from rsagent_ros.records.reader import Record


def list_records(path: Path) -> Iterator[Listed | Skipped]:
    """The records of a file or folder that have a truth; the others as Skipped, and not as faults.

    Raises:
        FileNotFoundError: There are no records at that path.
    """
    from rsagent_ros.records.reader import read_records  # bags and their types, only where they are read

    yield from _judged_ones(path, read_records)


def list_bag(path: Path) -> Iterator[Listed | Skipped]:
    """The judged goals of a rosbag2 bag, each on the image that it was answered on.

    Raises:
        FileNotFoundError: There is no bag at that path.
        ValueError: Its camera can't be told.
    """
    from rsagent_ros.records.answered import answered_goals

    yield from _judged_ones(path, answered_goals)


def _judged_ones(
    path: Path, read: Callable[[Path, Callable[[str], object]], Iterator[Record]]
) -> Iterator[Listed | Skipped]:
    told: list[str] = []
    for number, record in enumerate(read(path, told.append), 1):
        yield from _complaints(path, told)
        place = f"{path}, goal {record.goal_id or number}"
        try:
            name = as_id(record.goal_id or f"goal-{number}")
        except ValueError as error:
            yield Skipped(record.goal_id, place, str(error))
            continue
        if not record.verdicts:
            yield Skipped(name, place, "nobody gave a verdict on it", fault=False)
            continue
        if record.redaction == "surroundings":
            yield Skipped(name, place, "its image is redacted: only what was found is left of it", fault=False)
            continue
        try:
            judged = _judged(record)
        except ValueError as error:
            yield Skipped(name, place, str(error))
            continue
        if judged is None:
            yield Skipped(name, place, "its answer was rejected, and what is right was not said", fault=False)
            continue
        expected, masks = judged
        yield Listed(name, place, partial(_sample, record, name, expected, masks))
    yield from _complaints(path, told)


def _complaints(path: Path, told: list[str]) -> Iterator[Skipped]:
    """What the reader could not read, all of a file or a part of it."""
    while told:
        yield Skipped("", str(path), told.pop(0))


def _judged(record: Record) -> tuple[Outcome, tuple[Mask, ...]] | None:
    """What the newest verdict makes of a record: the right outcome and its masks. None where it does not say."""
    verdict = newest(record.verdicts)
    if verdict is None:
        return None
    if verdict.absent:
        return Outcome.NOT_IN_VIEW, ()
    if verdict.mask is not None:
        return Outcome.FOUND, (np.asarray(verdict.mask, dtype=np.bool_),)
    if not verdict.accepted:
        return None
    trace = record.trace
    if trace.outcome is Outcome.NOT_IN_VIEW:
        return Outcome.NOT_IN_VIEW, ()
    ids = trace.candidate_ids if trace.outcome is Outcome.AMBIGUOUS else trace.instance_ids
    masks = tuple(mask for mask in map(trace.mask, ids) if mask is not None)
    if not masks:
        raise ValueError(f"its verdict accepts an answer that has no mask (outcome {trace.outcome})")
    return (Outcome.AMBIGUOUS if trace.outcome is Outcome.AMBIGUOUS else Outcome.FOUND), masks


def _sample(record: Record, name: str, expected: Outcome, masks: tuple[Mask, ...]) -> Sample:
    shape = (record.image.shape[0], record.image.shape[1])
    truth = Truth(
        name, shape, expected, masks, category=record.camera, source="record", remarks=depth_remarks(record.depth)
    )
    return Sample(truth, record.image, record.trace.instruction, record.trace.previous)
