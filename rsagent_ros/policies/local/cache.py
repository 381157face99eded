"""Keys and values of several conversations in one cache, and apart again.

A conversation keeps its own between turns. To compute several in one go they are padded on the left and joined; a mask
says which places are real, and by it each row is taken out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

KVCache = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of one conversation: for each layer a pair of (1, heads, tokens, width). Empty at first."""


def cached_tokens(cache: KVCache) -> int:
    """The number of tokens that need not be computed again."""
    return int(cache[0][0].shape[2]) if cache else 0


class JoinedCache:
    """The caches of some conversations, as rows of one.

    Attributes:
        cache: A model's forward pass takes it and extends it.
        mask: (rows, places) bool, True where a place is real.
    """

    def __init__(self, rows: Sequence[KVCache], device: torch.device) -> None:
        """Join; the lists that are given are emptied as they are copied, so that little is in memory twice."""
        self._alone = len(rows) == 1
        lengths = torch.tensor([cached_tokens(row) for row in rows])
        places = int(lengths.max())
        self.mask = (torch.arange(places) >= places - lengths[:, None]).to(device)
        self.cache = DynamicCache()
        layers = max(map(len, rows))
        for number in range(layers):
            parts = [row.pop(0) if row else None for row in rows]
            some = next(part for part in parts if part is not None)
            keys, values = (
                torch.cat([_padded(None if part is None else part[which], some[which], places) for part in parts])
                for which in (0, 1)
            )
            self.cache.update(keys, values, number)

    def extend(self, real: torch.Tensor) -> torch.Tensor | None:
        """Count in new places, (rows, new) bool, which the next forward pass fills.

        Returns:
            The attention mask for it; None where every place is real, which is quicker.
        """
        self.mask = torch.cat([self.mask, real], dim=1)
        # A row that was always alone has no padding; one that others have left still has what made it as long as they
        # were. Looking at the mask to find out would wait for the device.
        return None if self._alone else self.mask

    def take(self, row: int) -> KVCache:
        """The cache of one row, padding left out."""
        real = self.mask[row]
        layers: Iterable[Any] = self.cache.layers
        return [(layer.keys[row : row + 1, :, real], layer.values[row : row + 1, :, real]) for layer in layers]

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows alone."""
        chosen = torch.tensor(rows, device=self.mask.device)
        self.mask = self.mask[chosen]
        self.cache.batch_select_indices(chosen)


def _padded(part: torch.Tensor | None, like: torch.Tensor, places: int) -> torch.Tensor:
    """Keys or values with zeros in front, (1, heads, places, width)."""
    _, heads, length, width = like.shape if part is None else part.shape
    zeros = like.new_zeros((1, heads, places - (0 if part is None else length), width))
    return zeros if part is None else torch.cat([zeros, part], dim=2)
