"""The summary at the end of an MCAP file, and whether an index reader would find by it all that the file holds.

Nearly all of a summary is optional, and what it leaves out a reader by index takes for not there.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mcap.exceptions import McapError
from mcap.records import Channel, ChunkIndex, Footer, Schema, Statistics
from mcap.stream_reader import StreamReader
from mcap.summary import Summary

from rsagent_ros.records.stored_message import Wanted, type_name

_MAGIC = b"\x89MCAP0\r\n"
_FOOTER = struct.Struct("<BQQQI8s")
MAX_SUMMARY_BYTES = 1_000_000_000


class CutError(Exception):
    """The file ends in the middle of something."""


class BoundedStream:
    """A file of which no read comes back short: mcap would take the half of a message for the whole.

    Attributes:
        start: Where the last read began, bytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self._size = size
        self.start = 0

    def read(self, length: int) -> bytes:
        """Read so many bytes.

        Raises:
            CutError: There are not so many left.
            ValueError: The length is negative.
        """
        # Before anything is read: a length that makes no sense must not become memory.
        if length > self._left:
            raise CutError
        if length < 0:
            raise ValueError("a record that is shorter than its fields")
        self.start = self._size - self._left
        self._left -= length
        return self._file.read(length)


def read_summary(path: Path) -> Summary | None:
    """The summary of a file; None where it has none that can be read.

    Raises:
        OSError: The file can't be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if size < _FOOTER.size + len(_MAGIC):
            return None
        file.seek(size - _FOOTER.size)
        opcode, length, start, _, _, magic = _FOOTER.unpack(file.read(_FOOTER.size))
        if (opcode, length, magic) != (2, 20, _MAGIC) or not len(_MAGIC) <= start <= size - _FOOTER.size:
            return None
        if size - start > MAX_SUMMARY_BYTES:
            return None
        file.seek(start)
        data = file.read(size - start)
    summary = Summary()
    stream = BoundedStream(BytesIO(data), len(data))
    try:
        reader = StreamReader(stream, skip_magic=True, record_size_limit=None)  # type: ignore[arg-type]  # all it needs
        for record in reader.records:
            match record:
                case Statistics():
                    summary.statistics = record
                case Schema():
                    summary.schemas[record.id] = record
                case Channel():
                    summary.channels[record.id] = record
                case ChunkIndex():
                    summary.chunk_indexes.append(record)
                case Footer():
                    break
    except (CutError, McapError, ValueError, struct.error):
        return None
    return summary


def indexed_count(summary: Summary, wanted: Wanted) -> int | None:
    """Count of the wanted messages by the file's own statistics; None where its index leaves out some, or may."""
    statistics, chunks = summary.statistics, summary.chunk_indexes
    if statistics is None or not chunks:
        return None
    counts = statistics.channel_message_counts
    whole = (
        statistics.chunk_count == len(chunks)
        and statistics.message_count == sum(counts.values())
        and statistics.channel_count <= len(summary.channels)
        and set(counts) <= set(summary.channels)
        and all(channel.schema_id in {0, *summary.schemas} for channel in summary.channels.values())
        and all(chunk.message_index_offsets for chunk in chunks)
    )
    if not whole:
        return None
    return sum(
        counts.get(channel.id, 0) for channel in summary.channels.values() if _is_wanted(channel, summary, wanted)
    )


def _is_wanted(channel: Channel, summary: Summary, wanted: Wanted) -> bool:
    schema = summary.schemas.get(channel.schema_id)
    return wanted(channel.topic, ros_type(channel, schema))


def ros_type(channel: Channel, schema: Schema | None) -> str:
    """The type of a channel's messages as ROS names it; empty where they are none of ROS 2."""
    return type_name(schema.name) if schema is not None and channel.message_encoding == "cdr" else ""
