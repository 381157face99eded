"""The judged goals of a robot's records, and the truth about each, kept up to date cheaply."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.records.writer import SUFFIX, VERDICT_FILE

log = logging.getLogger(__name__)

MOST = 1000
"""Goals that count: the newest ones. What robots are asked changes; and a night is long enough to play so many."""

_Signature = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of change of a record and of the verdicts beside it."""


@dataclass(frozen=True, eq=False)
class JudgedRef(ExampleRef):
    """A reference to a goal whose right answer is known; `load` refuses a truth that has changed since.

    Attributes:
        truth: 16 digits of a hash of the instruction and the right answer: another verdict, another hash. The `source`
            of the loaded example names it.
    """

    truth: str


def source(truth: str) -> str:
    """The `source` of an example whose truth has that hash."""
    return f"record, truth {truth}"


class JudgedGoals:
    """The judged goals below a folder. Files are read once, and again when a verdict comes. For one thread."""

    def __init__(self, folder: Path, most: int = MOST) -> None:
        """Prepare; nothing is read yet, and the folder need not be there."""
        self.folder = folder
        self._most = most
        self._known: dict[Path, tuple[_Signature, JudgedRef | None]] = {}

    def look(self, enough: Callable[[], bool] = lambda: False) -> list[JudgedRef]:
        """The newest ones by now, newest first. Of two with one id the newer counts.

        Args:
            enough: Asked before each file is read; the goals so far are given once it says so.
        """
        files = _record_files(self.folder)
        self._known = {path: known for path, known in self._known.items() if path in files}
        found: dict[str, JudgedRef] = {}
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


def _goal(path: Path) -> JudgedRef | None:
    try:
        example = _example(path)
    except ValueError as error:
        log.warning("%s", error)
        return None
    if example is None:
        return None
    truth = _hash(example)
    return JudgedRef(example.id, str(path), partial(_load, path, example.id, truth), truth)


def _load(path: Path, name: str, truth: str) -> Example:
    """The example of a record.

    Raises:
        ValueError: It can't be read any more, or the truth about it has changed since it was listed.
    """
    example = _example(path)
    if example is None or example.id != name or _hash(example) != truth:
        raise ValueError(f"{path}: the record or its verdict has changed")
    return replace(example, source=source(truth))


def _example(path: Path) -> Example | None:
    """The goal of a record with what the newest verdict makes of it; None where no verdict says what is right.

    Raises:
        ValueError: It can't be read.
    """
    try:
        listed = list(list_examples(Dataset("records", str(path))))
        return next((one.load() for one in listed if isinstance(one, ExampleRef)), None)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error


def _hash(example: Example) -> str:
    known = hashlib.sha256(repr((example.instruction, example.expected, example.shape, len(example.masks))).encode())
    for mask in example.masks:
        known.update(mask.tobytes())
    return known.hexdigest()[:16]
