"""The lock file beside weights: commit and hash of each file, to be verified on any machine."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

import msgspec

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode

LOCK_NAME = "rsagent-models.lock.json"
MAX_LOCK_BYTES = 10_000_000
VERSION = 1


class LockedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size in bytes and SHA-256, in hexadecimal, of one file."""

    size: int
    sha256: str


class Lock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contents of a folder of weights.

    Attributes:
        name: Name in the catalogue.
        repo: Repository on the hub.
        commit: Commit of that repository.
        files: Files by their names in the folder.
        version: Version of this format.
    """

    name: str
    repo: str
    commit: str
    files: dict[str, LockedFile]
    version: int = VERSION


class _Versioned(msgspec.Struct):
    version: int = VERSION


def write_lock(folder: Path, lock: Lock) -> None:
    """Write the lock file atomically."""
    partial = folder / f"{LOCK_NAME}.partial"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(lock), indent=2) + b"\n")
    partial.replace(folder / LOCK_NAME)


def verify(folder: Path) -> Lock:
    """Read every file of a folder and compare it with the lock; blocks while it reads.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the first file that is missing or changed, or a lock that can't be used.
    """
    path = folder / LOCK_NAME
    try:
        if path.stat().st_size > MAX_LOCK_BYTES:
            raise _failed(f"{path} is larger than {MAX_LOCK_BYTES // 1_000_000} MB, so it is no lock file")
        version = msgspec.json.decode(path.read_bytes(), type=_Versioned).version
        if version != VERSION:
            raise _failed(f"{path} is of version {version}; this release reads version {VERSION}")
        lock = msgspec.json.decode(path.read_bytes(), type=Lock)
    except FileNotFoundError as error:
        raise _failed(f"{path} is missing, so there is nothing to check against") from error
    except (msgspec.DecodeError, OSError) as error:
        raise _failed(f"{path} can't be read ({describe(error)})") from error
    for name, expected in lock.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise _failed(f"{path} names a file outside of its folder, {name!r}")
        file = folder / name
        if not file.is_file():
            raise _failed(f"{file} is missing")
        if file.stat().st_size != expected.size:
            raise _failed(f"{file} has {file.stat().st_size} bytes instead of {expected.size}")
        if sha256(file) != expected.sha256:
            raise _failed(f"{file} was changed: its SHA-256 is not the one in {LOCK_NAME}")
    return lock


def locked_folders(folder: Path) -> list[Path]:
    """The folder itself if it has a lock, else those in it that have one, by name."""
    if (folder / LOCK_NAME).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{LOCK_NAME}"))


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; about a second for each gigabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failed(what: str) -> RunFailed:
    return RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"{what}; fetch the weights again")
