"""The encodings that were used last, at most so many bytes of them."""

from __future__ import annotations

from collections import OrderedDict

import torch

Features = tuple[torch.Tensor, ...]


class EncodingStore:
    """Keeps features under a key until others, used later, need the room. Not for several threads at a time."""

    def __init__(self, limit: int) -> None:
        """Empty.

        Args:
            limit: Most bytes of features that are kept; the newest ones are kept even where they alone are larger.
        """
        self._limit = limit
        self._kept: OrderedDict[bytes, Features] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(_size(features) for features in self._kept.values())

    def get(self, key: bytes) -> Features | None:
        """What was put under this key, if it is still kept; it counts as used now."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: bytes, features: Features) -> None:
        """Keep these, and drop what was used longest ago until all fits."""
        self._kept[key] = features
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and self.nbytes > self._limit:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Drop all."""
        self._kept.clear()


def _size(features: Features) -> int:
    return sum(level.nbytes for level in features)
