"""The files of a bag: which there are, and the messages of each, of damaged ones too, through `rosbags` without ROS."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import yaml
import zstandard
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.rosbag2 import Reader

from rsagent_ros.agent.errors import describe
from rsagent_ros.records.message_decoder import FORMATS
from rsagent_ros.records.salvage import MAX_CHUNK_BYTES, StoredMessage, whole_messages

SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAX_METADATA = 50_000_000

Wanted: TypeAlias = Callable[[str, str], bool]
"""Whether messages of a topic and type are wanted."""

_ENCODINGS = {form: name for name, form in FORMATS.items()} | {MessageDefinitionFormat.NONE: ""}


def bag_files(path: Path, note: Callable[[str], object], complain: Callable[[str], object]) -> list[Path]:
    """The storage files of a bag in the order they were written.

    Args:
        path: The bag's folder, or one of its files.
        note: Called with a sentence about what is odd but loses nothing.
        complain: Called with a sentence about what is lost.

    Raises:
        FileNotFoundError: There is nothing, or no storage file in the folder.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such bag")
    there = sorted((file for file in path.iterdir() if file.name.endswith(SUFFIXES)), key=_natural)
    if not there:
        raise FileNotFoundError(f"{path}: no {', '.join(SUFFIXES)} file is in there; name the folder of one bag")
    named = _named_files(path / "metadata.yaml", note)
    if named is None:
        return there
    for name in named:
        if not (path / name).exists():
            complain(f"{path / name}: metadata.yaml names it, but it is missing; its messages are left out")
    extra = [file for file in there if file.name not in named]
    if extra:
        names = ", ".join(file.name for file in extra)
        note(f"{path}: metadata.yaml does not name {names}, as after a recorder was killed; they are read too")
    return [path / name for name in named if (path / name).exists()] + extra


def _named_files(metadata: Path, note: Callable[[str], object]) -> list[str] | None:
    """The names of the files that a metadata.yaml lists; None where it can't be used."""
    if not metadata.is_file():
        note(f"{metadata.parent}: metadata.yaml is missing; the files are read in the order of their names")
        return None
    try:
        if metadata.stat().st_size > MAX_METADATA:
            raise ValueError(f"it is larger than {MAX_METADATA // 1_000_000} MB")
        listed = yaml.safe_load(metadata.read_bytes())["rosbag2_bagfile_information"]["relative_file_paths"]
        return [Path(str(name)).name for name in listed]  # older ones hold the path on the robot
    except (yaml.YAMLError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        note(f"{metadata} can't be read ({describe(error)}); the files are read in the order of their names")
        return None


def stored_messages(
    file: Path, wanted: Wanted, complain: Callable[[str], object], scratch: Callable[[], Path]
) -> Iterator[StoredMessage]:
    """The messages of one storage file by the time they were logged; of a damaged one, in the order of the file.

    Args:
        file: With one of the SUFFIXES.
        wanted: Says by topic and type whether a message is given.
        complain: Called with a sentence about what is lost.
        scratch: Gives a folder for the uncompressed form of a compressed file.
    """
    if file.name.endswith(".zstd"):
        file = _uncompressed(file, scratch(), complain)
    given: Counter[tuple[str, int]] = Counter()
    try:
        for raw in _indexed(file, wanted):
            yield raw
            given[raw.topic, raw.time] += 1
        return
    except Exception as error:  # rosbags and what it is built on raise all kinds of errors for damaged files
        if file.suffix != ".mcap":
            kept = f"{sum(given.values())} messages were kept" if given else "nothing could be read"
            complain(f"{file}: damaged ({describe(error)}); {kept}")
            return
    try:
        for raw in whole_messages(file, complain):
            if given[raw.topic, raw.time]:
                given[raw.topic, raw.time] -= 1  # it came before the reader by index gave up
            elif wanted(raw.topic, raw.type):
                yield raw
    except OSError as error:
        complain(f"{file}: can't be read ({describe(error)})")


def _indexed(file: Path, wanted: Wanted) -> Iterator[StoredMessage]:
    """The messages by rosbags, which goes by the file's index."""
    with Reader(file) as reader:
        connections = [each for each in reader.connections if wanted(each.topic, each.msgtype)]
        if not connections:
            return  # rosbags takes no connections for all of them
        for connection, time, data in reader.messages(connections):
            yield _raw(connection, time, data)


def _raw(connection: Connection, time: int, data: bytes) -> StoredMessage:
    if not isinstance(connection.ext, ConnectionExtRosbag2) or connection.ext.serialization_format != "cdr":
        return StoredMessage(connection.topic, "", "", "", time, data)
    encoding = _ENCODINGS[connection.msgdef.format]
    return StoredMessage(connection.topic, connection.msgtype, encoding, connection.msgdef.data, time, data)


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


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """rosbag2 numbers files without leading zeros: bag_10 comes after bag_9."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], path.name
