"""Reading MCAP from front to back: every whole message, also of a file that was cut or never closed.

Readers that go by the index at the file's end find nothing in a file without one. This one takes what is there, says
how much that was and where it broke, and holds one chunk in memory at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard
from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, DataEnd, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from rsagent_ros.agent.errors import describe

MAX_CHUNK_BYTES = 1_000_000_000
"""Size of one chunk, uncompressed: the memory that a file may ask for."""


@dataclass(frozen=True, eq=False)
class StoredMessage:
    """A message as it stands in the file.

    Attributes:
        topic, type: As ROS names them.
        encoding, definition: Of its schema; `ros2msg` or `ros2idl`.
        time: When it was logged, nanoseconds.
        data: CDR.
    """

    topic: str
    type: str
    encoding: str
    definition: str
    time: int
    data: bytes


def whole_messages(path: Path, complain: Callable[[str], object]) -> Iterator[StoredMessage]:
    """Every whole message of an MCAP file, in the order they were written.

    Args:
        path: The file.
        complain: Called with a sentence for all that is wrong: a chunk that can't be read, and the end, where the file
            is cut, with how many messages were kept. What is whole is given all the same.

    Raises:
        OSError: The file can't be read at all.
    """
    schemas: dict[int, tuple[str, str, str]] = {}
    channels: dict[int, Channel] = {}
    kept, homeless, size, ended = 0, 0, path.stat().st_size, False
    with path.open("rb") as file:
        whole = _Whole(file, size)
        try:
            for record in _records(whole, path, complain):
                match record:
                    case Schema():
                        schemas[record.id] = (record.name, record.encoding, record.data.decode("utf-8", "replace"))
                    case Channel():
                        channels[record.id] = record
                    case Message() if record.channel_id not in channels:
                        homeless += 1  # the chunk that described its channel is damaged
                    case Message():
                        channel = channels[record.channel_id]
                        name, encoding, definition = schemas.get(channel.schema_id, ("", "", ""))
                        yield StoredMessage(channel.topic, name, encoding, definition, record.log_time, record.data)
                        kept += 1
                    case DataEnd():
                        ended = True
        except _Cut:
            lost = " in its index, behind the last message" if ended else ""
            complain(f"{path}: cut at byte {size}{lost}; {kept} messages were kept")
        except (McapError, ValueError, struct.error) as error:
            complain(f"{path}: broken at byte {whole.start} of {size} ({describe(error)}); {kept} messages were kept")
    if homeless:
        complain(f"{path}: {homeless} messages are left out, as the description of their topic is lost")


class _Cut(Exception):
    """The file ends in the middle of something."""


class _Whole:
    """A file of which no read comes back short: mcap would take the half of a message for the whole."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size
        self._size = size
        self.start = 0

    def read(self, length: int) -> bytes:
        # BagGoal before anything is read: a length that makes no sense must not become memory.
        if length > self._left:
            raise _Cut
        if length < 0:
            raise ValueError("a record that is shorter than its fields")
        self.start = self._size - self._left
        self._left -= length
        return self._file.read(length)


def _records(file: _Whole, path: Path, complain: Callable[[str], object]) -> Iterator[McapRecord]:
    """The file's records, chunks taken apart; one that is damaged is left out."""
    reader = StreamReader(file, emit_chunks=True, record_size_limit=None)  # type: ignore[arg-type]  # all it needs
    for record in reader.records:
        if not isinstance(record, Chunk):
            yield record
            continue
        try:
            if record.uncompressed_size > MAX_CHUNK_BYTES:
                raise ValueError(f"it claims {record.uncompressed_size} bytes, the limit is {MAX_CHUNK_BYTES}")
            if record.compression == "zstd" and zstandard.frame_content_size(record.data) > MAX_CHUNK_BYTES:
                raise ValueError(f"it claims more than the limit of {MAX_CHUNK_BYTES} bytes")
            parts = breakup_chunk(record, validate_crc=True)
        except Exception as error:  # the libraries of three compressions raise what they like
            complain(f"{path}: the chunk before byte {file.start} is damaged and left out ({describe(error)})")
            continue
        yield from parts
