"""A mapping that keeps the newest entries and forgets the others."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

REMEMBERED_GOALS = 200
"""Goals that have ended, and that a follow-up or verdict may still name."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Newest(OrderedDict[Key, Value]):
    """At most `limit` entries, oldest first. An entry that is set again is the newest. Not thread-safe."""

    def __init__(self, limit: int) -> None:
        """Keep that many."""
        super().__init__()
        self.limit = limit

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self.limit:
            self.popitem(last=False)
