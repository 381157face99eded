"""results.jsonl: the results of a run so far, one line an example, each on the disk before the next is begun.

A killed run loses the examples that were under way, nothing else; a run with the same settings goes on in the same
folder. The first line holds these settings. Of a line that was cut by the kill nothing is kept. Of several lines about
one example, as there are when it was judged anew, the last counts.
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
from rsagent_ros.scoring.score import Score

VERSION = 1
FILE = "results.jsonl"


@dataclass(frozen=True)
class RunSettings:
    """Identity of a run: two with equal settings are the same run.

    Attributes:
        dataset: Fields of the Dataset.
        system: Who answered: settings of policy and segmenter, or the folder of predictions.
        budget: Fields of the Budget; empty where nothing was run.
        seed: Of everything that is drawn.
        limit: Examples that were chosen at random; 0 for all.
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
    """Measurements of one example, which differ from run to run.

    Attributes:
        seconds, policy_seconds, tool_seconds: Steady clock; the whole episode, replies, tools.
        cached_tokens: As the backend counted.
        attempts: How often the example was begun; more than 1 when a worker died with it.
    """

    seconds: float = 0.0
    policy_seconds: float = 0.0
    tool_seconds: float = 0.0
    cached_tokens: int = 0
    attempts: int = 1


NO_TRACE = msgspec.Raw(b"null")


class ExampleResult(msgspec.Struct, frozen=True):
    """One line: what came of one example.

    Attributes:
        score: Of the answer; `row` in the file.
        measured: What was measured.
        mask: Run lengths of the answer's mask; None for none.
        remarks: What is odd about the example or the answer, each with its place.
        trace: JSON of the whole Trace; null for answers of other systems.
    """

    score: Score = msgspec.field(name="row")
    measured: Measured
    mask: Rle | None
    remarks: tuple[str, ...]
    trace: msgspec.Raw

    def whole_trace(self) -> Trace | None:
        """The trace; None for answers of other systems."""
        text = bytes(self.trace)
        return None if text == bytes(NO_TRACE) else Trace.from_json(text)


class Results:
    """The file while a run writes it. A context manager; locked against a second run in the same folder."""

    def __init__(self, folder: Path, settings: RunSettings, *, go_on: bool = True) -> None:
        """Begin, or go on.

        Args:
            folder: Made where it is missing.
            settings: Of the run.
            go_on: Lines are flushed to the disk one by one, for a later process to go on. Without, only a new file will
                do, and the system writes it when it likes.

        Raises:
            FileExistsError: There is a file, and it is not to go on.
            ValueError: The folder holds another run, or a file that is none.
            OSError: It can't be written, or another process writes it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self._kept: dict[str, tuple[Score, Measured, tuple[str, ...]]] = {}
        self._flush = go_on
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
            self._go_on(settings)
        except ValueError:
            self._file.close()
            raise

    @property
    def scores(self) -> list[Score]:
        """The newest score of each example, in the order in which these were answered first."""
        return [score for score, _, _ in self._kept.values()]

    @property
    def measured(self) -> list[Measured]:
        """The measurements in the same order."""
        return [measured for _, measured, _ in self._kept.values()]

    @property
    def remarks(self) -> list[str]:
        """All remarks in the same order."""
        return [remark for _, _, remarks in self._kept.values() for remark in remarks]

    def add(self, result: ExampleResult) -> None:
        """Append an example; it is on the disk when this returns."""
        self._append(msgspec.json.encode(result))
        self._keep(result)

    def _go_on(self, settings: RunSettings) -> None:
        kept = _whole_lines(self.path)
        os.ftruncate(self._file.fileno(), kept)
        if not kept:
            self._append(msgspec.json.encode(settings))
            return
        known, results = read_results(self.path)
        if known != settings:
            ours, theirs = asdict(settings), asdict(known)
            name = next(name for name in ours if ours[name] != theirs[name])
            raise ValueError(
                f"{self.path} is of another run: its {name} is {theirs[name]!r}, now {ours[name]!r}; use another --out"
            )
        for result in results:
            self._keep(result)

    def _keep(self, result: ExampleResult) -> None:
        """Masks and traces stay on the disk: what is kept in memory is some hundred bytes an example."""
        self._kept[result.score.id] = (result.score, result.measured, result.remarks)

    def _append(self, data: bytes) -> None:
        self._file.write(data + b"\n")
        if not self._flush:
            return
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()  # with it goes the lock


def read_results(path: Path) -> tuple[RunSettings, Iterator[ExampleResult]]:
    """The settings of a results.jsonl, and its results one by one in the order they were written.

    An example that was judged anew comes more than once; the last counts.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none; while reading the lines, with the number of the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `rsagent evaluate` and `rsagent score` write it")
    with path.open("rb") as file:
        try:
            settings = msgspec.json.decode(file.readline(), type=RunSettings)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ValueError(f"{path}, line 1: {error}") from error
    if settings.version != VERSION:
        raise ValueError(f"{path} is of version {settings.version}; this release reads version {VERSION}")
    return settings, _results(path)


def find_results(path: Path, ids: Collection[str]) -> dict[str, ExampleResult]:
    """The results of these examples by id; those of the others are only skimmed."""
    found: dict[str, ExampleResult] = {}
    with path.open("rb") as file:
        file.readline()
        for line in file:
            if line.endswith(b"\n") and (name := msgspec.json.decode(line, type=_Skimmed).row.id) in ids:
                found[name] = msgspec.json.decode(line, type=ExampleResult)
    return found


class RecordedTraces(Mapping[str, Trace]):
    """The traces of a run by the id of their example; only their places are in memory. Not for several threads."""

    def __init__(self, path: Path) -> None:
        """Find their places.

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
        trace = msgspec.json.decode(self._file.readline(), type=ExampleResult).whole_trace()
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


def _results(path: Path) -> Iterator[ExampleResult]:
    decoder = msgspec.json.Decoder(ExampleResult)
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
