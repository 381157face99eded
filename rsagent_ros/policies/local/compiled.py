"""Decoding of a single row at the speed of memory: a cache of fixed size, compiled steps, replayed as one CUDA graph.

Step by step a model is thousands of small launches, and a GPU waits for most of them. Here they are compiled into
fewer, recorded once, and replayed for every token: what is left is reading the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import softmax
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel, StaticCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from rsagent_ros.policies.local.cache import KVCache

ATTENTION = "rsagent_grouped"


class CompiledDecoder:
    """One row at a time, over a cache that has its full size from the start."""

    def __init__(self, model: PreTrainedModel, context: int, backend: str = "inductor") -> None:
        """Prepare; what takes minutes happens in the first step.

        Args:
            model: From now on its text part attends with `grouped_attention`.
            context: Most tokens of a conversation.
            backend: Of torch.compile.
        """
        AttentionInterface.register(ATTENTION, grouped_attention)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        model.set_attn_implementation({"text_config": ATTENTION})
        self._model = model
        self._cache = StaticCache(config=model.config, max_cache_len=context)
        self._layers: list[Any] = list(self._cache.layers)
        self._places = torch.arange(context, device=model.device)
        self._token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
        self._position = torch.zeros((3, 1, 1), dtype=torch.long, device=model.device)
        self._length = 0
        self._compiled = torch.compile(self._forward, backend=backend, fullgraph=True, dynamic=False)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = torch.empty(0)

    def load(self, cache: KVCache) -> None:
        """Go on from the cache of a row; the list is emptied."""
        length = cache[0][0].shape[2]
        for layer in self._layers:
            keys, values = cache.pop(0)
            if not layer.is_initialized:
                layer.lazy_initialization(keys, values)
            layer.keys[:, :, :length] = keys
            layer.values[:, :, :length] = values
            # A place that is masked counts with weight 0; that must not meet a NaN that an earlier row left there.
            layer.values[:, :, length:] = 0
        self._set_length(length)

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Logits (1, vocabulary) of what follows this token; overwritten by the next step."""
        self._token.fill_(tokens[0])
        self._position.fill_(positions[0])
        if self._token.is_cuda:
            with torch.cuda.device(self._token.device):
                self._graph = self._graph or self._record()
                self._graph.replay()
        else:
            self._logits = self._compiled(self._token, self._position)
        self._length += 1
        return self._logits

    def take(self, row: int) -> KVCache:
        """A copy of the row's cache."""
        return [
            (layer.keys[:, :, : self._length].clone(), layer.values[:, :, : self._length].clone())
            for layer in self._layers
        ]

    def keep(self, rows: list[int]) -> None:
        """Do nothing: there is only one row."""

    def _forward(self, token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        seen = self._places <= self._layers[0].cumulative_length
        output = self._model(
            input_ids=token,
            position_ids=position,
            attention_mask=seen[None, None, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits
        return logits[:, -1]

    def _record(self) -> torch.cuda.CUDAGraph:
        """Compile, then record one step; the cache is left as it was."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):  # the first compiles, and both settle what may not be settled while recording
                self._compiled(self._token, self._position)
                self._set_length(self._length)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._logits = self._compiled(self._token, self._position)
        return graph

    def _set_length(self, length: int) -> None:
        self._length = length
        for layer in self._layers:
            layer.cumulative_length.fill_(length)


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a single token that reads keys and values once, not once for each head that shares them.

    transformers' interface: query (rows, heads, tokens, width), key and value (rows, groups, places, width), mask
    (rows, 1, tokens, places) bool; gives (rows, tokens, heads, width). More tokens than one go the usual way.
    """
    rows, heads, tokens, width = query.shape
    if tokens > 1:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
        return output, None
    groups = key.shape[1]
    scores = query.reshape(rows, groups, heads // groups, width) @ key.transpose(2, 3)
    scores = scores * (width**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, -torch.inf)
    weights = softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value).reshape(rows, 1, heads, width), None
