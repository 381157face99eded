"""A bounded store of encodings: least recently used ones are dropped first."""

from __future__ import annotations

from collections import OrderedDict

import torch

Features = tuple[torch.Tensor, ...]


class EncodingStore:
    """Features by key, up to a limit of bytes. Not thread-safe."""

    def __init__(self, limit: int) -> None:
        """Begin empty.

        Args:
            limit: Most bytes of features; the newest ones are kept even where they alone are larger.
        """
        self._limit = limit
        self._kept: OrderedDict[bytes, Features] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of all features."""
        return sum(_size(features) for features in self._kept.values())

    def get(self, key: bytes) -> Features | None:
        """The features of a key, or None where they were dropped; they count as used now."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: bytes, features: Features) -> None:
        """Keep these, and drop the least recently used ones until all fit."""
        self._kept[key] = features
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self.nbytes > self._limit:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Drop all."""
        self._kept.clear()


def _size(features: Features) -> int:
    return sum(level.nbytes for level in features)
