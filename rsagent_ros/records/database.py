"""The messages of an SQLite bag (rosbag2's `sqlite3`), as a recorder left it, with the log of one that was killed.

SQLite itself is asked, and never for more than the topics that are wanted: what is odd about another one costs nothing.
The bag is not written to. Where a log lies beside the database, both are read from a scratch folder.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from rsagent_ros.agent.errors import describe
from rsagent_ros.records.stored_message import StoredMessage, Wanted, type_name

WAL, JOURNAL = "-wal", "-journal"
"""Suffixes of SQLite's logs: what was written last is in the one, what has to be undone in the other."""


def database_messages(
    file: Path, wanted: Wanted, complain: Callable[[str], object], scratch: Callable[[], Path]
) -> Iterator[StoredMessage]:
    """The messages of a database by the time they were logged.

    Args:
        file: The database.
        wanted: Says by topic and type whether a message is given.
        complain: Called with a sentence about what is lost.
        scratch: Gives a folder for a copy, where there is a log.
    """
    given = 0
    try:
        with closing(_opened(file, scratch, complain)) as database:
            for message in _messages(file, database, wanted, complain):
                yield message
                given += 1
        size, whole = file.stat().st_size, _claimed_size(file)
        if size < whole and not _logs(file):
            complain(f"{file}: cut, it has {size} of {whole} bytes; {given} messages were kept")
    except sqlite3.Error as error:
        kept = f"{given} messages were kept" if given else "nothing could be read"
        complain(f"{file}: damaged ({describe(error)}); {kept}")


def _opened(file: Path, scratch: Callable[[], Path], complain: Callable[[str], object]) -> sqlite3.Connection:
    """A connection to the database with what its logs say."""
    path, options = file, "immutable=1"  # without it SQLite writes beside the database, which may not be allowed
    if logs := _logs(file):
        try:
            path, options = _copied(file, logs, scratch()), "mode=rw"
        except OSError as error:
            names = ", ".join(log.name for log in logs)
            complain(
                f"{file}: what {names} says of its last messages is not read ({describe(error)}); "
                "make room for a copy of the bag in the folder TMPDIR names"
            )
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)


def _logs(file: Path) -> list[Path]:
    """The logs beside a database in which something stands."""
    logs = (file.with_name(file.name + suffix) for suffix in (WAL, JOURNAL))
    return [log for log in logs if log.is_file() and log.stat().st_size > 0]


def _claimed_size(file: Path) -> int:
    """Bytes of a database by its header; 0 where that does not say."""
    with file.open("rb") as stream:
        head = stream.read(100)
    if len(head) < 100:
        return 100
    (page,) = struct.unpack_from(">H", head, 16)
    changes, pages, valid_for = (struct.unpack_from(">I", head, at)[0] for at in (24, 28, 92))
    return (65_536 if page == 1 else int(page)) * int(pages) if changes == valid_for else 0


def _copied(file: Path, logs: list[Path], scratch: Path) -> Path:
    """The database and its logs in a folder of their own, where SQLite may write."""
    folder = scratch / f"{file.name}.with-log"
    target = folder / file.name
    if target.exists():
        return target
    folder.mkdir(exist_ok=True)
    free, needed = shutil.disk_usage(folder).free, sum(one.stat().st_size for one in (file, *logs))
    if needed > free:
        raise OSError(f"{needed // 1_000_000} MB are needed, {free // 1_000_000} MB are free")
    for log in logs:
        shutil.copyfile(log, folder / log.name)
    partial = folder / "partial"
    shutil.copyfile(file, partial)
    os.replace(partial, target)
    return target


def _messages(
    file: Path, database: sqlite3.Connection, wanted: Wanted, complain: Callable[[str], object]
) -> Iterator[StoredMessage]:
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"topics", "messages"} <= tables:
        complain(f"{file} is an SQLite database, but no bag: it has no tables `topics` and `messages`")
        return
    definitions = dict[str, tuple[str, str]]()
    if "message_definitions" in tables:
        rows = database.execute("SELECT topic_type, encoding, encoded_message_definition FROM message_definitions")
        definitions = {type_name(str(name)): (str(encoding), str(text)) for name, encoding, text in rows}
    topics: dict[int, tuple[str, str, str, str]] = {}
    for number, topic, kind, form in database.execute("SELECT id, name, type, serialization_format FROM topics"):
        name = type_name(str(kind)) if form == "cdr" else ""
        if wanted(str(topic), name):
            topics[number] = (str(topic), name, *definitions.get(name, ("", "")))
    marks = ", ".join("?" * len(topics))
    query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) ORDER BY timestamp, id"
    odd = 0
    for number, time, data in database.execute(query, list(topics)):
        if isinstance(time, int) and isinstance(data, bytes):
            yield StoredMessage(*topics[number], time, data)
        else:
            odd += 1
    if odd:
        complain(f"{file}: {odd} rows of its table `messages` are left out: they hold no time or no data")
