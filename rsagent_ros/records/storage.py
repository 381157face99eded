"""The messages of a bag's files, of damaged ones too, without ROS: MCAP and SQLite, packed by file or by message."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import zstandard
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.rosbag2.storage_mcap import McapReader  # `Reader` goes by a file's suffix

from rsagent_ros.agent.errors import describe
from rsagent_ros.records.bag_files import ZSTD_MAGIC, kind_of
from rsagent_ros.records.database import database_messages
from rsagent_ros.records.mcap_summary import indexed_count, read_summary
from rsagent_ros.records.message_decoder import FORMATS
from rsagent_ros.records.salvage import MAX_CHUNK_BYTES, whole_messages
from rsagent_ros.records.stored_message import StoredMessage, Wanted, type_name

log = logging.getLogger(__name__)

_ENCODINGS = {form: name for name, form in FORMATS.items()} | {MessageDefinitionFormat.NONE: ""}


def stored_messages(
    file: Path, wanted: Wanted, complain: Callable[[str], object], scratch: Callable[[], Path]
) -> Iterator[StoredMessage]:
    """The messages of one storage file by the time they were logged; without a whole index, in the order of the file.

    Args:
        file: Its form is told by its first bytes; by its name, where those are damaged.
        wanted: Says by topic and type whether a message is given.
        complain: Called with a sentence about what is lost.
        scratch: Gives a folder for the uncompressed form of a compressed file, and for databases with a log.
    """
    try:
        kind = kind_of(file)
        if kind == "zstd":
            file = _uncompressed(file, scratch(), complain)
            kind = kind_of(file)
        if kind == "sqlite" or (kind == "other" and ".db3" in file.suffixes):
            yield from database_messages(file, wanted, complain, scratch)
        else:
            yield from _mcap_messages(file, wanted, complain)
    except OSError as error:
        complain(f"{file}: can't be read ({describe(error)})")


def _mcap_messages(file: Path, wanted: Wanted, complain: Callable[[str], object]) -> Iterator[StoredMessage]:
    """Messages by the index, where it has all that the file counts; what it lacks is read from front to back."""
    given: Counter[tuple[str, int]] = Counter()
    summary = read_summary(file)
    expected = None if summary is None else indexed_count(summary, wanted)
    if expected is not None:
        try:
            for raw in _indexed(file, wanted):
                yield raw
                given[raw.topic, raw.time] += 1
            if given.total() >= expected:
                return
        except Exception as error:  # rosbags and what it is built on raise all kinds of errors for damaged files
            log.debug("%s: not to be read by its index (%s)", file, describe(error))
    for raw in whole_messages(file, complain):
        if given[raw.topic, raw.time]:
            given[raw.topic, raw.time] -= 1  # it came before the reader by index gave up
        elif wanted(raw.topic, raw.type):
            yield raw


def _indexed(file: Path, wanted: Wanted) -> Iterator[StoredMessage]:
    """The messages by rosbags, which goes by the file's index."""
    reader = McapReader(file)
    reader.open()
    with closing(reader):
        connections = [each for each in reader.connections if wanted(each.topic, _type(each))]
        if not connections:
            return  # rosbags takes no connections for all of them
        for connection, time, data in reader.messages(connections):
            msgtype, definition = _type(connection), connection.msgdef
            encoding = _ENCODINGS[definition.format]
            yield StoredMessage(connection.topic, msgtype, encoding, definition.data, time, data)


def _type(connection: Connection) -> str:
    """The ROS 2 type of a connection's messages; empty where they are of no ROS 2 type."""
    is_cdr = isinstance(connection.ext, ConnectionExtRosbag2) and connection.ext.serialization_format == "cdr"
    return type_name(connection.msgtype) if is_cdr else ""


def plain_data(data: bytes) -> bytes:
    """The CDR of a message that may have been compressed by itself (`--compression-mode message`).

    Raises:
        ValueError: It is, but can't be uncompressed.
    """
    if data[:4] != ZSTD_MAGIC:  # CDR begins with 0
        return data
    try:
        if zstandard.frame_content_size(data) > MAX_CHUNK_BYTES:
            raise ValueError(f"a message of more than {MAX_CHUNK_BYTES} bytes")
        return bytes(zstandard.decompress(data, MAX_CHUNK_BYTES))
    except zstandard.ZstdError as error:
        raise ValueError(f"a compressed message that can't be read ({error})") from error


def _uncompressed(file: Path, scratch: Path, complain: Callable[[str], object]) -> Path:
    """A storage file that was compressed as a whole (`--compression-mode file`), written to the scratch folder."""
    target = scratch / file.name.removesuffix(".zstd")
    if target.exists():
        return target
    with file.open("rb") as packed, target.open("wb") as out:
        try:
            shutil.copyfileobj(zstandard.ZstdDecompressor().stream_reader(packed), out, 1 << 20)
        except (zstandard.ZstdError, EOFError) as error:
            complain(f"{file}: its compression is damaged ({describe(error)}); what came before is read")
    return target
