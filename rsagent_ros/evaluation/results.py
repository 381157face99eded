"""results.jsonl: what a run has found so far, one line a sample, each on the disk before the next is begun.

A killed run loses the samples that were under way, nothing else; a run with the same settings goes on in the same
folder. The first line says which run it is. Of a line that was cut by the kill nothing is kept.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from rsagent_ros.agent.mask import Rle
from rsagent_ros.agent.turn import Trace
from rsagent_ros.scoring.score import Row

VERSION = 1
FILE = "results.jsonl"


@dataclass(frozen=True)
class Run:
    """Which run it is: two with equal ones are the same run.

    Attributes:
        dataset: Fields of the Dataset.
        system: Who answered: settings of policy and segmenter, or the folder of predictions.
        budget: Fields of the Budget; empty where nothing was run.
        seed: Of everything that is drawn.
        limit: Samples that were chosen at random; 0 for all.
        release: Version of rsagent.
        version: Of this file.
    """

    dataset: dict[str, str]
    system: dict[str, Any]
    budget: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    limit: int = 0
    release: str = ""
    version: int = VERSION


@dataclass(frozen=True)
class Measured:
    """What differs from run to run.

    Attributes:
        seconds, policy_seconds, tool_seconds: Steady clock; the whole episode, replies, tools.
        cached_tokens: As the backend counted.
        attempts: How often the sample was begun; more than 1 when a worker died with it.
    """

    seconds: float = 0.0
    policy_seconds: float = 0.0
    tool_seconds: float = 0.0
    cached_tokens: int = 0
    attempts: int = 1


NO_TRACE = msgspec.Raw(b"null")


@dataclass(frozen=True)
class Line:
    """One sample.

    Attributes:
        row: Its scores.
        measured: What was measured.
        mask: Run lengths of the answer's mask; None for none.
        remarks: What is odd about the sample or the answer, each with its place.
        trace: JSON of the whole Trace; null for answers of other systems.
    """

    row: Row
    measured: Measured
    mask: Rle | None
    remarks: tuple[str, ...]
    trace: msgspec.Raw  # without a default: msgspec 0.22 refuses to decode a Raw field of a dataclass that has one

    def whole_trace(self) -> Trace | None:
        """The trace; None for answers of other systems."""
        text = bytes(self.trace)
        return None if text == bytes(NO_TRACE) else Trace.from_json(text)


class Results:
    """The file while a run writes it. A context manager; locked against a second run in the same folder."""

    def __init__(self, folder: Path, run: Run, *, go_on: bool = True) -> None:
        """Begin, or go on.

        Args:
            folder: Made where it is missing.
            run: Which run it is.
            go_on: Lines are flushed to the disk one by one, for a later process to go on. Without, only a new file will
                do, and the system writes it when it likes.

        Raises:
            FileExistsError: There is a file, and it is not to go on.
            ValueError: The folder holds another run, or a file that is none.
            OSError: It can't be written, or another process writes it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self.rows: list[Row] = []
        self.measured: list[Measured] = []
        self.remarks: list[str] = []
        self._durable = go_on
        if not go_on and self.path.exists():
            raise FileExistsError(f"{self.path} exists already, not overwriting; use another --out")
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise OSError(
                f"{self.path} is being written by another process; wait for it, or use another --out"
            ) from error
        try:
            self._go_on(run)
        except ValueError:
            self._file.close()
            raise

    def _go_on(self, run: Run) -> None:
        kept = _whole_lines(self.path)
        os.ftruncate(self._file.fileno(), kept)
        if not kept:
            self._append(msgspec.json.encode(run))
            return
        known, lines = read_results(self.path)
        if known != run:
            ours, theirs = asdict(run), asdict(known)
            name = next(name for name in ours if ours[name] != theirs[name])
            raise ValueError(
                f"{self.path} is of another run: its {name} is {theirs[name]!r}, now {ours[name]!r}; use another --out"
            )
        for line in lines:
            self._keep(line)

    def add(self, line: Line) -> None:
        """Append a sample; it is on the disk when this returns."""
        self._append(msgspec.json.encode(line))
        self._keep(line)

    def _keep(self, line: Line) -> None:
        """Masks and traces stay on the disk: what is kept in memory is some hundred bytes a sample."""
        self.rows.append(line.row)
        self.measured.append(line.measured)
        self.remarks += line.remarks

    def _append(self, data: bytes) -> None:
        self._file.write(data + b"\n")
        if not self._durable:
            return
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()  # with it goes the lock


def read_results(path: Path) -> tuple[Run, Iterator[Line]]:
    """The run of a results.jsonl, and its lines one by one in the order they were written.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none; while reading the lines, with the number of the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `rsagent evaluate` and `rsagent score` write it")
    with path.open("rb") as file:
        try:
            run = msgspec.json.decode(file.readline(), type=Run)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ValueError(f"{path}, line 1: {error}") from error
    if run.version != VERSION:
        raise ValueError(f"{path} is of version {run.version}; this release reads version {VERSION}")
    return run, _lines(path)


def find_lines(path: Path, ids: Collection[str] | None = None) -> Iterator[Line]:
    """The lines of these samples, or all; those of the others are only skimmed for their id."""
    with path.open("rb") as file:
        file.readline()
        for line in file:
            if line.endswith(b"\n") and (ids is None or msgspec.json.decode(line, type=_Skimmed).row.id in ids):
                yield msgspec.json.decode(line, type=Line)


class RecordedTraces(Mapping[str, Trace]):
    """The traces of a run by the id of their sample; only where each stands is in memory. Not for several threads."""

    def __init__(self, path: Path) -> None:
        """Look where they are.

        Raises:
            FileNotFoundError, ValueError: As `read_results`.
        """
        read_results(path)
        self._file = path.open("rb")
        self._file.readline()
        self._at: dict[str, int] = {}
        while True:
            at, line = self._file.tell(), self._file.readline()
            if not line.endswith(b"\n"):
                break
            self._at[msgspec.json.decode(line, type=_Skimmed).row.id] = at

    def __getitem__(self, name: str) -> Trace:
        self._file.seek(self._at[name])
        trace = msgspec.json.decode(self._file.readline(), type=Line).whole_trace()
        if trace is None:
            raise KeyError(name)
        return trace

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True)
class _Id:
    id: str


@dataclass(frozen=True)
class _Skimmed:
    row: _Id


def _lines(path: Path) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(Line)
    with path.open("rb") as file:
        file.readline()
        for number, line in enumerate(file, 2):
            if not line.endswith(b"\n"):
                return  # cut by a kill
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error


def _whole_lines(path: Path) -> int:
    """Bytes up to and with the last line break."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            end = start
    return 0
