"""Text that somebody else's tool wrote: byte order marks, and JSON that is a little more than JSON."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def as_utf8(data: bytes) -> bytes:
    """A whole text as UTF-8 without a byte order mark, by which UTF-16 and UTF-32 are told.

    Raises:
        ValueError: The mark is of an encoding that the text is not in.
    """
    for mark, encoding in _WIDE.items():
        if data.startswith(mark):
            return data.decode(encoding).encode("utf-8")
    return data.removeprefix(codecs.BOM_UTF8)


def read_json(path: Path) -> Any:
    """The JSON in a file; NaN and infinity, which Python writes, are read too.

    Raises:
        ValueError: It is no JSON.
        OSError: The file can't be read.
    """
    data = as_utf8(path.read_bytes())
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as strict:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise ValueError(str(strict)) from strict


def text_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """The lines of a file of JSON lines that are not blank: number from 1, where it begins in bytes, and the line.

    Raises:
        ValueError: It is UTF-16 or UTF-32, which has no lines of bytes.
        OSError: The file can't be read.
    """
    with path.open("rb") as lines:
        at = 0
        for number, line in enumerate(lines, 1):
            start, at = at, at + len(line)
            if number == 1:
                if line.startswith(tuple(_WIDE)):
                    raise ValueError(f"{path} is not UTF-8, as its byte order mark says; save it as UTF-8")
                plain = line.removeprefix(codecs.BOM_UTF8)
                start, line = start + len(line) - len(plain), plain
            if line.strip():
                yield number, start, line
