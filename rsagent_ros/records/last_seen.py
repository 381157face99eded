"""`last_seen`: when, where and in which picture a robot last saw an object, by its records. Needs no ROS."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.pose3d import NoPose, estimate_pose
from rsagent_ros.records.reader import RecordError, read_record
from rsagent_ros.records.record import Record, answer_mask, newest
from rsagent_ros.records.writer import record_files

ARTICLES = frozenset(("a", "an", "any", "my", "our", "some", "the", "your"))
"""Words that tell no object from another."""

MOST = 1000
"""Records that are looked through, the newest ones: reading each takes milliseconds."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """The newest record in which an object was found.

    Attributes:
        file: The record.
        record: Its goal, image and trace.
        mask: (H, W) bool of the object: what a person corrected it to, else what the agent found.
        position: (3,) metres, centre of the oriented box, in the optical frame `record.frame_id`; None without depth.
        confirmed: Somebody said that this was right.
    """

    file: Path
    record: Record
    mask: Mask
    position: NDArray[np.float64] | None
    confirmed: bool


def last_seen(
    what: str, records: Path, complain: Callable[[str], object] = lambda _: None, most: int = MOST
) -> Sighting | None:
    """Find the newest record whose instruction has all words of `what`, and whose object was found.

    Answers that a verdict rejected do not count, unless the verdict has the right mask. Words are compared as they are:
    "cup" is not "mug".

    Args:
        what: Such as "the red mug".
        records: A record, or a folder with all below it.
        complain: Called with a sentence about each record that can't be read.
        most: Records to look through, newest first.

    Returns:
        The sighting; None where there is none in those records.

    Raises:
        ValueError: There are no words to look for.
        FileNotFoundError: There are no records.
    """
    wanted = words_of(what)
    if not wanted:
        raise ValueError(f"{what!r} names no object; say one, such as 'the red mug'")
    files = record_files(records) if records.is_dir() else [records]
    if not files or not files[0].exists():
        raise FileNotFoundError(f"{records}: there are no records; a node with the parameter record_dir writes some")
    for file in reversed(files[-most:]):  # names begin with the day and the time
        try:
            record = read_record(file, complain)
        except (RecordError, OSError) as error:
            complain(str(error))
            continue
        if wanted <= words_of(record.trace.instruction):
            sighting = _sighting(file, record)
            if sighting is not None:
                return sighting
    return None


def words_of(text: str) -> frozenset[str]:
    """The words of a text that tell objects apart."""
    return frozenset(re.findall(r"\w+", text.casefold())) - ARTICLES


def _sighting(file: Path, record: Record) -> Sighting | None:
    verdict = newest(record.verdicts)
    if verdict is not None and verdict.mask is not None and not verdict.absent:
        mask: Mask | None = np.asarray(verdict.mask, dtype=np.bool_)
    elif record.trace.outcome is Outcome.FOUND and (verdict is None or (verdict.accepted and not verdict.absent)):
        mask = answer_mask(record.trace)
    else:
        return None
    if mask is None or not mask.any():
        return None
    return Sighting(file, record, mask, _position(record, mask), verdict is not None)


def _position(record: Record, mask: Mask) -> NDArray[np.float64] | None:
    """(3,) metres in the optical frame of the record's image; None where it can't be told."""
    camera = record.camera_info
    if record.depth is None or camera is None or (camera.height, camera.width) != record.image.shape[:2]:
        return None
    pose = estimate_pose(mask, record.depth, camera)
    return None if isinstance(pose, NoPose) else np.asarray(pose.position)
