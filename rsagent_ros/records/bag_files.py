"""The files of a bag: which there are, in which order, and what each is by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import yaml

from rsagent_ros.agent.errors import describe

METADATA = "metadata.yaml"
SUFFIXES = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd", ".mcap.zst", ".db3.zst")
_PACKED = (".zstd", ".zst")
"""Suffixes that rosbag2 and the program `zstd` give what they compress."""

UNFINISHED = ".active"
"""Suffix that some recorders give a file until they close it."""

MAX_METADATA = 50_000_000

Kind: TypeAlias = Literal["mcap", "sqlite", "zstd", "other"]

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MAGIC: dict[bytes, Kind] = {b"\x89MCAP0\r\n": "mcap", b"SQLite format 3\0": "sqlite", ZSTD_MAGIC: "zstd"}
_ARCHIVE = "an archive; unpack it first"
_NO_BAGS = {
    b"#ROSBAG V": "a bag of ROS 1; convert it first, such as with `rosbags-convert`",
    b"\x37\x7f\x06\x82": "the log of an SQLite bag; name the .db3 file beside it",
    b"\x37\x7f\x06\x83": "the log of an SQLite bag; name the .db3 file beside it",
    b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7": "the journal of an SQLite bag; name the .db3 file beside it",
    b"PK\x03\x04": _ARCHIVE,
    b"\x1f\x8b": _ARCHIVE,
    b"BZh": _ARCHIVE,
    b"\xfd7zXZ\0": _ARCHIVE,
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
}
"""First bytes of files that people take for bags of ROS 2, and what to say of them."""


def bag_files(path: Path, note: Callable[[str], object], complain: Callable[[str], object]) -> list[Path]:
    """The storage files of a bag in the order they were written.

    Args:
        path: The bag's folder, its metadata.yaml, or one of its files, whatever its name.
        note: Called with a sentence about what is odd but loses nothing.
        complain: Called with a sentence about what is lost.

    Raises:
        FileNotFoundError: There is nothing, no storage file in the folder, or the file is something else.
    """
    if path.name == METADATA and path.is_file():
        path = path.parent
    if path.is_file():
        return [_bag_file(path)]
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: there is no such bag")
    there = _storage_files(path)
    named = _named_files(path / METADATA, note)
    if named is None:
        return _once(there)
    found = {name: _under_either_name(path / name) for name in named}
    for name, file in found.items():
        if file is None:
            complain(f"{path / name}: metadata.yaml names it, but it is missing; its messages are left out")
    files = _once([file for file in found.values() if file is not None])
    known = {_plain_name(file) for file in files}
    extra = _once([file for file in there if _plain_name(file) not in known])
    if extra:
        names = ", ".join(file.name for file in extra)
        note(f"{path}: metadata.yaml does not name {names}, as after a recorder was killed; they are read too")
    return files + extra


def kind_of(file: Path) -> Kind:
    """The form of a storage file by its first bytes.

    Raises:
        OSError: It can't be read.
    """
    head = _head(file)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "other")


def _bag_file(file: Path) -> Path:
    head = _head(file)
    for magic, what in _NO_BAGS.items():
        if head.startswith(magic):
            raise FileNotFoundError(f"{file} is no bag of ROS 2, but {what}")
    if not file.name.lower().endswith(SUFFIXES) and kind_of(file) == "other":
        raise FileNotFoundError(f"{file} is no bag of ROS 2: it is neither MCAP nor SQLite")
    return file


def _storage_files(folder: Path) -> list[Path]:
    """The storage files in a folder by name; where no name is one of a storage file, those that are by their content.

    Raises:
        FileNotFoundError: There are none.
    """
    every = sorted((file for file in folder.iterdir() if file.is_file()), key=_natural)
    there = [file for file in every if file.name.lower().removesuffix(UNFINISHED).endswith(SUFFIXES)]
    there = there or [file for file in every if kind_of(file) != "other"]
    if there:
        return there
    for file in every:
        for magic, what in _NO_BAGS.items():
            if _head(file).startswith(magic):
                raise FileNotFoundError(f"{folder} holds no bag of ROS 2: {file.name} is {what}")
    raise FileNotFoundError(f"{folder}: no {', '.join(SUFFIXES)} file is in there; name the folder of one bag")


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(16)


def _under_either_name(file: Path) -> Path | None:
    """The file that is there: as it is named, or after it was packed or unpacked (`zstd`, `zstd -d`) without a word."""
    plain = _plain_name(file)
    names = (file.name, plain, *(plain + end for end in _PACKED))
    return next((one for one in map(file.with_name, names) if one.exists()), None)


def _once(files: list[Path]) -> list[Path]:
    """The files without the second of a file and its packed form: both hold the same messages.

    The first counts. Without a metadata.yaml that is the plain one, which a recorder removes once the other is whole.
    """
    return list({_plain_name(file): file for file in reversed(files)}.values())[::-1]


def _plain_name(file: Path) -> str:
    return next((file.name[: -len(end)] for end in _PACKED if file.name.lower().endswith(end)), file.name)


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


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """rosbag2 numbers files without leading zeros: bag_10 comes after bag_9."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], path.name
