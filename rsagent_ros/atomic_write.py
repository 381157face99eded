"""Files that are whole or not there, also after a power cut."""

from __future__ import annotations

import os
import threading
from pathlib import Path

PART = ".part"
"""End of the name under which a file is written; what a killed process leaves of it can be removed."""


def atomic_write(path: Path, data: bytes, *, new: bool = False) -> None:
    """Write a file in one step: readers see all of it or what was there before. It is on the disk when this returns.

    Args:
        path: The file; its folder must be there.
        data: All of it.
        new: Never replace a file that is there.

    Raises:
        FileExistsError: With `new`: it is there already.
        OSError: It can't be written; what was there before still is.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{PART}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if new:
            _name(part, path)
        else:
            part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _name(part: Path, path: Path) -> None:
    """Give a written file its name, unless that is taken."""
    try:
        path.hardlink_to(part)  # unlike a rename, it never replaces what somebody else has stored
    except FileExistsError:
        raise
    except OSError:  # a file system without links, such as exFAT
        part.rename(path)
    else:
        part.unlink()
