"""Reading MCAP from front to back: every whole message, also of a file that was cut or never closed.

Readers that go by the index at the file's end find nothing in a file without one. This one takes what is there, says
how much that was and where it broke, and holds one chunk in memory at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard
from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, DataEnd, McapRecord, Message, Schema, Statistics
from mcap.stream_reader import StreamReader, breakup_chunk

from rsagent_ros.agent.errors import describe
from rsagent_ros.records.mcap_summary import BoundedStream, CutError, read_summary, ros_type
from rsagent_ros.records.stored_message import StoredMessage

MAX_CHUNK_BYTES = 1_000_000_000
"""Size of one chunk, uncompressed: the memory that a file may ask for."""


def whole_messages(path: Path, complain: Callable[[str], object]) -> Iterator[StoredMessage]:
    """Every whole message of an MCAP file, in the order they were written.

    Args:
        path: The file.
        complain: Called with a sentence for all that is wrong: a chunk that can't be read, the end, where the file is
            cut, with how many messages were kept, and where these are fewer than the file counts. What is whole is
            given all the same.

    Raises:
        OSError: The file can't be read at all.
    """
    summary = read_summary(path)
    schemas: dict[int, Schema] = {} if summary is None else summary.schemas
    channels: dict[int, Channel] = {} if summary is None else summary.channels
    kept, homeless, size, ended = 0, 0, path.stat().st_size, False
    counted, complaints = 0, 0

    def tell(sentence: str) -> None:
        nonlocal complaints
        complaints += 1
        complain(f"{path}: {sentence}")

    with path.open("rb") as file:
        whole = BoundedStream(file, size)
        try:
            for record in _records(whole, tell):
                match record:
                    case Schema():
                        schemas[record.id] = record
                    case Channel():
                        channels[record.id] = record
                    case Message() if record.channel_id not in channels:
                        homeless += 1  # the chunk that described its channel is damaged
                    case Message():
                        yield _stored(record, channels[record.channel_id], schemas)
                        kept += 1
                    case Statistics():
                        counted = record.message_count
                    case DataEnd():
                        ended = True
        except CutError:
            lost = " in its index, behind the last message" if ended else ""
            tell(f"cut at byte {size}{lost}; {kept} messages were kept")
        except (McapError, ValueError, struct.error) as error:
            tell(f"broken at byte {whole.start} of {size} ({describe(error)}); {kept} messages were kept")
    if homeless:
        tell(f"{homeless} messages are left out, as the description of their topic is lost")
    if kept < counted and not complaints:
        tell(f"it counts {counted} messages, and {kept} are in it: the others are lost")


def _stored(message: Message, channel: Channel, schemas: dict[int, Schema]) -> StoredMessage:
    schema = schemas.get(channel.schema_id)
    msgtype = ros_type(channel, schema)
    encoding, definition = "", ""
    if schema is not None:
        encoding, definition = schema.encoding, schema.data.decode("utf-8", "replace")
    return StoredMessage(channel.topic, msgtype, encoding, definition, message.log_time, message.data)


def _records(file: BoundedStream, tell: Callable[[str], object]) -> Iterator[McapRecord]:
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
            tell(f"the chunk before byte {file.start} is damaged and left out ({describe(error)})")
            continue
        yield from parts
