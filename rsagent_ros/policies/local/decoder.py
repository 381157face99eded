"""A model's forward passes over a growing cache: reading what is new, then one token a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from transformers import PreTrainedModel

from rsagent_ros.policies.local.cache import JoinedCache, KVCache
from rsagent_ros.policies.local.pixels import Patches
from rsagent_ros.policies.local.transcript import Layout


class Decoder(Protocol):
    """Computes one token for each row, and remembers it."""

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Logits (rows, vocabulary) of what follows these tokens."""
        ...

    def take(self, row: int) -> KVCache:
        """The cache of a row."""
        ...

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows alone."""
        ...


class GrowingDecoder:
    """Any number of rows, over a cache that grows with every token."""

    def __init__(self, model: PreTrainedModel, rows: Sequence[KVCache]) -> None:
        """Take over the caches of the rows; their lists are emptied."""
        self._model = model
        self._device = model.device
        self._joined = JoinedCache(rows, self._device)

    def read(self, layouts: Sequence[Layout], starts: Sequence[int], patches: Patches) -> torch.Tensor:
        """Compute every token from `starts` on, all rows in one pass; logits (rows, vocabulary) of what follows.

        No row's start may lie within a picture, or at its end: there must be something to read.
        """
        news = [len(layout.ids) - start for layout, start in zip(layouts, starts, strict=True)]
        ids = torch.zeros((len(news), max(news)), dtype=torch.long)
        real = torch.zeros(ids.shape, dtype=torch.bool)
        positions = torch.zeros((3, *ids.shape), dtype=torch.long)
        pictures = []
        for row, (layout, start, new) in enumerate(zip(layouts, starts, news, strict=True)):
            # Padded in front, so that the last place is the newest token of every row.
            ids[row, -new:] = torch.tensor(layout.ids[start:])
            real[row, -new:] = True
            positions[:, row, -new:] = torch.from_numpy(layout.positions[:, start:])
            pictures += [placed for placed in layout.pictures if placed.start >= start]
        seen = {}
        if pictures:
            sides = [(1, placed.rows * patches.merge, placed.columns * patches.merge) for placed in pictures]
            cut = [patches.cut(placed.pixels, self._device, self._model.dtype) for placed in pictures]
            seen = {"pixel_values": torch.cat(cut), "image_grid_thw": torch.tensor(sides, device=self._device)}
        return self._forward(ids, positions, real, seen)

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Logits (rows, vocabulary) of what follows these tokens, one of each row."""
        ids = torch.tensor(tokens)[:, None]
        along_all_axes = torch.tensor(positions)[None, :, None].expand(3, -1, -1)
        return self._forward(ids, along_all_axes, torch.ones(ids.shape, dtype=torch.bool), {})

    def take(self, row: int) -> KVCache:
        """The cache of a row."""
        return self._joined.take(row)

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows alone."""
        self._joined.keep(rows)

    def _forward(
        self, ids: torch.Tensor, positions: torch.Tensor, real: torch.Tensor, seen: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        # Positions are always given: left to itself, a model counts those of a later chunk with pictures wrongly.
        output = self._model(
            input_ids=ids.to(self._device),
            position_ids=positions.to(self._device),
            attention_mask=self._joined.extend(real.to(self._device)),
            past_key_values=self._joined.cache,
            use_cache=True,
            logits_to_keep=1,
            **seen,
        )
        logits: torch.Tensor = output.logits
        return logits[:, -1]
