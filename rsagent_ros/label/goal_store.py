"""Goals of a folder of records: the list, each with its verdicts, and the storing of new verdicts."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from rsagent_ros.agent.errors import plain
from rsagent_ros.label.goal_row import GoalRow, read_row
from rsagent_ros.label.verdicts import Judgement, says_the_same, verdict_for
from rsagent_ros.records.reader import RecordError, read_record
from rsagent_ros.records.record import Record, Verdict, newest
from rsagent_ros.records.writer import SUFFIX, VERDICT_FILE, DiskFullError, add_verdict, verdict_files

KEPT = 4
"""Records that are kept in memory with their images: going back and forth does not read them again."""

_Signature: TypeAlias = tuple[int, int, tuple[str, ...]]


@dataclass(frozen=True)
class GoalList:
    """The list as far as it is known.

    Attributes:
        rows: In the order of their names.
        left: Files that are not read yet.
        version: Another one whenever a row is another one, also after a restart.
    """

    rows: tuple[GoalRow, ...]
    left: int
    version: int


@dataclass(frozen=True, eq=False)
class OpenedGoal:
    """A goal with its image and verdicts.

    Attributes:
        record: With its verdicts as they are now.
        complaints: What is wrong with its files though they could be used.
    """

    record: Record
    complaints: tuple[str, ...]


class UnknownGoalError(LookupError):
    """A goal without a record, or whose record is gone."""


class GoalStore:
    """The goals of one file or folder. Thread-safe; nothing that was stored is ever changed."""

    def __init__(self, path: Path) -> None:
        """Prepare; nothing is read yet.

        Raises:
            FileNotFoundError: There is nothing at `path`, or it is a folder without records.
        """
        self.path = path.absolute()
        self._root = self.path if path.is_dir() else self.path.parent
        self._rows: dict[str, tuple[_Signature | None, GoalRow]] = {}
        self._version = time.time_ns()
        self._opened: OrderedDict[str, tuple[_Signature, OpenedGoal]] = OrderedDict()
        self._lock = threading.Lock()
        if not path.exists() or not self._files():
            raise FileNotFoundError(f"{path}: there are no records; a node with the parameter record_dir writes some")

    def rows(self, seconds: float) -> GoalList:
        """The goals that are known.

        Args:
            seconds: Read files that are new or have new verdicts for about so long; ask again for the rest.
        """
        until = time.monotonic() + seconds
        with self._lock:
            files = self._files()
            for gone in self._rows.keys() - files.keys():
                del self._rows[gone]
                self._version += 1
            left = 0
            for key, (path, verdicts) in files.items():
                if time.monotonic() < until:
                    self._read_row(key, path, verdicts)
                elif key not in self._rows:
                    left += 1
            return GoalList(tuple(self._rows[key][1] for key in files if key in self._rows), left, self._version)

    def open(self, key: str) -> OpenedGoal:
        """A goal with its image and its verdicts as they are now. Blocks for the disk, tens of milliseconds.

        Raises:
            UnknownGoalError: There is no such record.
            RecordError: Its file can't be used; the message names it.
            OSError: It can't be read.
        """
        with self._lock:
            return self._open(key, self._file(key))

    def judge(
        self, key: str, judgement: Judgement, note: str = "", masks: Sequence[object] = (), annotator: str = ""
    ) -> GoalRow:
        """Store a person's verdict beside its record; it is on the disk when this returns.

        It is the newest of the goal's, whatever the clocks say, and so the one that counts. What the goal's newest
        verdict says already is not stored again: whoever got no answer may ask a second time.

        Args:
            key: The goal.
            judgement: About its answer.
            note: What was meant.
            masks: What would have been right, as `verdict_for` takes it.
            annotator: Name of the person.

        Raises:
            UnknownGoalError, RecordError: As in `open`.
            ValueError: It does not fit this goal; the message says why.
            OSError: It can't be stored; the message says why and what to do.
        """
        with self._lock:
            path = self._file(key)
            record = self._open(key, path).record
            verdict = verdict_for(record, judgement, note, masks, annotator)
            last = newest(record.verdicts)
            if last is None or not says_the_same(verdict, last):
                stamp = max(time.time_ns(), 0 if last is None else last.stamp_ns + 1)
                _store(path, replace(verdict, stamp_ns=stamp))
            self._read_row(key, path, tuple(verdict_files(path)))
            return self._rows[key][1]

    def _files(self) -> dict[str, tuple[Path, tuple[Path, ...]]]:
        """File of each record and files of its verdicts, by the record's key. One walk through the folder for all."""
        if not self.path.is_dir():
            return {plain(self.path.name): (self.path, tuple(verdict_files(self.path)))}
        records, verdicts = [], defaultdict(list)
        for file in sorted(self._root.rglob(f"*{SUFFIX}")):
            known = VERDICT_FILE.fullmatch(file.name)
            if known is None:
                records.append(file)
            else:
                verdicts[file.with_name(known["goal"] + SUFFIX)].append((int(known["number"]), file))
        return {
            # A name that is no UTF-8 could not be sent to the page.
            plain(path.relative_to(self._root).as_posix()): (path, tuple(file for _, file in sorted(verdicts[path])))
            for path in records
            if path.is_file()
        }

    def _file(self, key: str) -> Path:
        """The file of a key that the list gives out; what comes from outside is never joined to a path."""
        path = self._root / key if key in self._rows else None
        if path is None or not path.is_file():
            path, _ = self._files().get(key, (None, ()))
        if path is None:
            raise UnknownGoalError(f"there is no record {key!r} in {self._root} (any more)")
        return path

    def _open(self, key: str, path: Path) -> OpenedGoal:
        signature = _signature(path, tuple(verdict_files(path)))
        known = self._opened.get(key)
        if known is None or known[0] != signature:
            complaints: list[str] = []
            try:
                record = read_record(path, complaints.append)
            except RecordError as error:
                row = self._rows[key][1] if key in self._rows else GoalRow(key)
                self._keep(key, signature, replace(row, problem=str(error)))
                raise
            if not os.access(path.parent, os.W_OK):
                complaints.append(
                    f"{path.parent} is read-only, so verdicts can't be stored: copy the records to a folder of yours"
                )
            known = signature, OpenedGoal(record, tuple(complaints))
            self._opened[key] = known
        self._opened.move_to_end(key)
        while len(self._opened) > KEPT:
            self._opened.popitem(last=False)
        return known[1]

    def _read_row(self, key: str, path: Path, verdicts: tuple[Path, ...]) -> None:
        try:
            signature = _signature(path, verdicts)
        except OSError as error:
            self._keep(key, None, GoalRow(key, problem=str(error)))
            return
        if key not in self._rows or self._rows[key][0] != signature:
            self._keep(key, signature, read_row(key, path, verdicts))

    def _keep(self, key: str, signature: _Signature | None, row: GoalRow) -> None:
        if key not in self._rows or self._rows[key][1] != row:
            self._version += 1
        self._rows[key] = signature, row


def _store(path: Path, verdict: Verdict) -> None:
    try:
        add_verdict(path, verdict)
    except DiskFullError as error:
        raise OSError(f"the verdict is not stored: {error.strerror}") from error
    except OSError as error:
        raise OSError(
            f"the verdict is not stored, as {path.parent} can't be written to ({error.strerror}): change that, or copy "
            "the records to a folder of yours"
        ) from error


def _signature(path: Path, verdicts: tuple[Path, ...]) -> _Signature:
    """Changes when a record or its verdicts do."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, tuple(file.name for file in verdicts)
