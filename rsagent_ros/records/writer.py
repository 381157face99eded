"""Writing records: one closed MCAP file a goal, within limits of size, age and free space.

    records/2026-11-21/143512.123456789_<goal id>.mcap
    records/2026-11-21/143512.123456789_<goal id>.verdict-1.mcap

Day and time are those of the image's stamp, UTC. A file appears under its name when it is whole and on the disk: a
process that is killed leaves at most a `.part` file, which is removed later. Verdicts come after their goal was closed,
and each gets a file of its own beside it; nothing is ever rewritten.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import re
import shutil
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcap.writer import CompressionType, Writer

from rsagent_ros.atomic_write import PART, atomic_write
from rsagent_ros.records.interfaces import definition, serialize
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.record import Record, Verdict
from rsagent_ros.records.record_messages import RecordMessage, entries, verdict_entries

SUFFIX = ".mcap"
VERDICT_FILE = re.compile(r"(?P<goal>.+)\.verdict-(?P<number>\d+)\.mcap")

_OWN = re.compile(r"\d{6}\.\d{9}_[A-Za-z0-9_-]+\.mcap")
"""Names that `write` gives its files. Only those count and are removed: a folder may hold bags of others, too."""

_OWN_PART = re.compile(r"\..+\.mcap\.\d+(-\d+)?\.part")
"""Names that `atomic_write` gives them before."""

CHUNK = 64 * 1024
"""Bytes of a chunk, uncompressed, at least. Small: of a file that is cut, all chunks before the cut can be read."""

ABANDONED = 3600.0
"""Seconds after which nobody is still writing a `.part` file."""


class DiskFullError(OSError):
    """No room for a record; the ones before are untouched. The message says where, and what to do."""


@dataclass(frozen=True)
class _Stored:
    """A goal that is on the disk: its file, and the bytes of that and of its verdicts."""

    path: Path
    time: float
    size: int


class RecordWriter:
    """Writes the records of one folder. For one thread at a time."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        """Take stock of the folder, which is made where it is missing.

        Raises:
            OSError: It can't be made or read.
        """
        self.folder = folder
        self.limits = limits if limits is not None else Limits()
        folder.mkdir(parents=True, exist_ok=True)
        self._take_stock()
        for part in folder.rglob(f"*{PART}"):
            if _OWN_PART.fullmatch(part.name) and time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink(missing_ok=True)

    @property
    def megabytes(self) -> float:
        """Size of all records that are known here."""
        return self._size / 1e6

    @property
    def count(self) -> int:
        """Goals that are known here."""
        return len(self._stored)

    def write(self, record: Record) -> Path:
        """Store a record; returns its file once that is on the disk. Blocks for the disk, tens of milliseconds.

        Raises:
            DiskFullError: There is no room, or the record alone is over the limit.
            OSError: The file can't be written for another reason.
        """
        data = encode(entries(record))
        self._make_room(len(data))
        moment = datetime.fromtimestamp(record.stamp_ns // 1_000_000_000, UTC)
        day = self.folder / moment.strftime("%Y-%m-%d")
        stem = f"{moment.strftime('%H%M%S')}.{record.stamp_ns % 1_000_000_000:09d}_{_plain(record.goal_id)}"
        day.mkdir(exist_ok=True)
        path = day / f"{stem}{SUFFIX}"
        number = 1
        while path.exists():
            number += 1
            path = day / f"{stem}-{number}{SUFFIX}"
        _store(path, data)
        self._stored.append(_Stored(path, time.time(), len(data)))
        self._size += len(data)
        return path

    def add_verdict(self, path: Path, verdict: Verdict) -> Path:
        """Store a verdict beside the record in `path`; returns its file.

        Raises:
            FileNotFoundError: There is no such record (any more).
            OSError: As in `write`.
        """
        self._make_room(0)
        written = add_verdict(path, verdict)
        self._size += written.stat().st_size
        return written

    def _take_stock(self) -> None:
        """Count what is there."""
        self._stored = deque(sorted(_stock(self.folder), key=lambda stored: (stored.time, stored.path)))
        self._size = sum(stored.size for stored in self._stored)

    def _make_room(self, size: int) -> None:
        limit = self.limits.megabytes * 1e6
        if size > limit:
            raise DiskFullError(
                errno.EFBIG, f"a record of {size / 1e6:.1f} MB is over the limit of {limit / 1e6:g} MB in {self.folder}"
            )
        expired = time.time() - self.limits.days * 86_400
        while self._stored and (self._stored[0].time < expired or self._size + size > limit):
            if not self._stored[0].path.exists():
                self._take_stock()  # somebody has moved records away: there may be room already
                continue
            self._remove(self._stored.popleft())
        free = shutil.disk_usage(self.folder).free
        if free - size < self.limits.free_megabytes * 1e6:
            raise DiskFullError(
                errno.ENOSPC,
                f"{free / 1e6:.1f} MB are free where {self.folder} is, and {self.limits.free_megabytes:g} MB are to "
                "stay free: make room, or allow less megabytes of records",
            )

    def _remove(self, stored: _Stored) -> None:
        for path in (*verdict_files(stored.path), stored.path):
            size = path.stat().st_size if path.exists() else 0  # somebody may have moved it away
            path.unlink(missing_ok=True)
            self._size -= size
        self._size = max(0, self._size) if self._stored else 0
        if stored.path.parent != self.folder:
            with contextlib.suppress(OSError):  # it is not empty, or gone
                stored.path.parent.rmdir()


def add_verdict(path: Path, verdict: Verdict) -> Path:
    """Store a verdict beside the record in `path`, without a writer and its limits; returns its file.

    Raises:
        FileNotFoundError: There is no such record.
        OSError: It can't be written.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such record (any more)", str(path))
    data = encode(list(verdict_entries(verdict)))
    numbers = [int(known["number"]) for known in map(_verdict_name, verdict_files(path)) if known is not None]
    for number in itertools.count(max(numbers, default=0) + 1):
        file = path.with_name(f"{path.stem}.verdict-{number}{SUFFIX}")
        with contextlib.suppress(FileExistsError):  # somebody else has judged it in the same moment
            _store(file, data)
            return file
    raise AssertionError("numbers do not end")


def verdict_files(path: Path) -> list[Path]:
    """The files of the verdicts about the record in `path`, in the order they came."""
    # Not by `glob`: it keeps every pattern that it was ever given, and a node would give it one with each goal.
    files = path.parent.iterdir() if path.parent.is_dir() else ()
    names = ((file, _verdict_name(file)) for file in files if file.name.startswith(path.stem))
    mine = [(int(known["number"]), file) for file, known in names if known is not None and known["goal"] == path.stem]
    return [file for _, file in sorted(mine)]


def record_files(path: Path) -> list[Path]:
    """The files of the records under a folder, in the order of their names; verdicts are not listed."""
    return sorted(file for file in path.rglob(f"*{SUFFIX}") if _verdict_name(file) is None and file.is_file())


def encode(messages: Iterable[RecordMessage]) -> bytes:
    """The messages as a whole MCAP file, definitions included. The same messages give the same bytes."""
    file = io.BytesIO()
    writer = Writer(file, chunk_size=CHUNK, compression=CompressionType.ZSTD)
    writer.start(profile="ros2", library="rsagent")
    schemas: dict[str, int] = {}
    channels: dict[str, int] = {}
    for entry in messages:
        kind = entry.message.__msgtype__
        if kind not in schemas:
            schemas[kind] = writer.register_schema(kind, "ros2msg", definition(kind).encode())
        if entry.topic not in channels:
            channels[entry.topic] = writer.register_channel(
                entry.topic, "cdr", schemas[kind], {"offered_qos_profiles": ""}
            )
        moment = max(0, entry.time)
        writer.add_message(channels[entry.topic], moment, serialize(entry.message), moment)
    writer.finish()
    return file.getvalue()


def _store(path: Path, data: bytes) -> None:
    """Write a file that was not there.

    Raises:
        FileExistsError: It is there already.
        DiskFullError, OSError: It can't be written.
    """
    try:
        atomic_write(path, data, new=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError(
                error.errno, f"{path} of {len(data) / 1e6:.1f} MB could not be written ({error.strerror}): make room"
            ) from error
        raise


def _stock(folder: Path) -> Iterable[_Stored]:
    """The goals in a folder, with the sizes of their verdicts."""
    verdicts: dict[Path, int] = {}
    goals: list[Path] = []
    for file in folder.rglob(f"*{SUFFIX}"):
        known = _verdict_name(file)
        if _OWN.fullmatch(file.name):
            goals.append(file)
        elif known is not None:
            goal = file.with_name(known["goal"] + SUFFIX)
            with contextlib.suppress(FileNotFoundError):  # somebody is just moving it away
                verdicts[goal] = verdicts.get(goal, 0) + file.stat().st_size
    for goal in goals:
        with contextlib.suppress(FileNotFoundError):
            status = goal.stat()
            yield _Stored(goal, status.st_mtime, status.st_size + verdicts.get(goal, 0))


def _verdict_name(path: Path) -> re.Match[str] | None:
    return VERDICT_FILE.fullmatch(path.name)


def _plain(goal_id: str) -> str:
    """A goal's id as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", goal_id)[:64] or "goal"
