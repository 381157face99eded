"""The judged goals of a robot's records: which there are, and what is true of each, kept up to date cheaply."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rsagent_ros.data.sample import Listed, Sample, Truth
from rsagent_ros.datasets import Dataset, list_samples
from rsagent_ros.records.writer import SUFFIX, VERDICT_FILE

log = logging.getLogger(__name__)

MOST = 1000
"""Goals that count: the newest ones. What robots are asked changes; and a night is long enough to play so many."""

_Signature = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of change of a record and of the verdicts beside it."""


@dataclass(frozen=True)
class JudgedGoal:
    """A goal whose right answer is known.

    Attributes:
        id: Of its sample.
        path: Its record.
        truth: 16 digits of a hash of what was asked and what is right: another verdict, another hash.
    """

    id: str
    path: Path
    truth: str

    def load(self) -> Sample:
        """Its image and truth, whose `source` names the hash.

        Raises:
            ValueError: It can't be read any more, or what is true has changed since it was listed.
        """
        sample = _sample(self.path)
        if sample is None or sample.truth.id != self.id or _hash(sample) != self.truth:
            raise ValueError(f"{self.path}: the record or its verdict has changed")
        return replace(sample, truth=replace(sample.truth, source=source(self.truth)))


def source(truth: str) -> str:
    """What scores say of where a truth of that hash comes from."""
    return f"record, truth {truth}"


class JudgedGoals:
    """The judged goals below a folder. Files are read once, and again when a verdict comes. For one thread."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        """Nothing is read yet; the folder need not be there."""
        self.folder = folder
        self._most = most
        self._known: dict[Path, tuple[_Signature, JudgedGoal | None]] = {}

    def look(self, enough: Callable[[], bool] = lambda: False) -> list[JudgedGoal]:
        """The newest ones by now, newest first. Of two with one id the newer counts.

        Args:
            enough: Asked before each file is read; the goals so far are given once it says so.
        """
        files = _record_files(self.folder)
        self._known = {path: known for path, known in self._known.items() if path in files}
        found: dict[str, JudgedGoal] = {}
        for path in sorted(files, reverse=True):  # days and times are their names
            if len(found) == self._most:
                break
            known = self._known.get(path)
            if known is None or known[0] != files[path]:
                if enough():
                    break
                known = self._known[path] = (files[path], _goal(path))
            if known[1] is not None:
                found.setdefault(known[1].id, known[1])
        return list(found.values())


def _record_files(folder: Path) -> dict[Path, _Signature]:
    """The records below a folder, in any order."""
    stats: dict[Path, list[tuple[str, int, int]]] = {}
    for file in sorted(folder.rglob(f"*{SUFFIX}")):
        verdict = VERDICT_FILE.fullmatch(file.name)
        record = file if verdict is None else file.with_name(verdict["goal"] + SUFFIX)
        try:
            stat = file.stat()
        except FileNotFoundError:
            continue  # records are removed when they are too old or too many
        stats.setdefault(record, []).append((file.name, stat.st_size, stat.st_mtime_ns))
    return {path: tuple(each) for path, each in stats.items()}


def _goal(path: Path) -> JudgedGoal | None:
    try:
        sample = _sample(path)
    except ValueError as error:
        log.warning("%s", error)
        return None
    return None if sample is None else JudgedGoal(sample.truth.id, path, _hash(sample))


def _sample(path: Path) -> Sample | None:
    """The goal of a record with what the newest verdict makes of it; None where no verdict says what is right.

    Raises:
        ValueError: It can't be read.
    """
    try:
        listed = list(list_samples(Dataset("records", str(path))))
        return next((one.load() for one in listed if isinstance(one, Listed)), None)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error


def _hash(sample: Sample) -> str:
    truth: Truth = sample.truth
    known = hashlib.sha256(repr((sample.instruction, truth.expected, truth.shape, len(truth.masks))).encode())
    for mask in truth.masks:
        known.update(mask.tobytes())
    return known.hexdigest()[:16]
