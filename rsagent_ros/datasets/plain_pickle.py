"""Pickles that hold nothing but data. Unpickling anything else runs whatever program the file names."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

MAX_BYTES = 500_000_000
_ALLOWED = {(module, name) for module in ("builtins", "__builtin__") for name in ("set", "frozenset")}


class _PlainUnpickler(pickle.Unpickler):
    """Knows numbers, texts, lists, tuples, dicts and sets. Every other name in the file is refused, not imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}; only plain containers and numbers are read")
        return {"set": set, "frozenset": frozenset}[name]


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of plain data. Texts of Python 2 are read as UTF-8.

    Raises:
        ValueError: It holds more than plain data, is broken, or is too large.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has over {MAX_BYTES} bytes")
    with path.open("rb") as file:
        try:
            return _PlainUnpickler(file, encoding="utf-8", errors="replace").load()
        except Exception as error:  # a pickle is a program, and a broken one raises anything
            raise ValueError(f"{path} is not a pickle of plain data: {error}") from error
