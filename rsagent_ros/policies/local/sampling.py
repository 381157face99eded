"""Sampling: the next token, and its probability under the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """Temperature and cut of sampling.

    Attributes:
        temperature: 0 takes the likeliest.
        top_p: Keep the likeliest tokens that together have this probability, at least one.
    """

    temperature: float = 0.0
    top_p: float = 1.0

    def pick(
        self, logits: torch.Tensor, banned: torch.Tensor, generators: Sequence[torch.Generator]
    ) -> tuple[list[int], list[float]]:
        """One token for each row; waits for the device once.

        Args:
            logits: (rows, vocabulary), of any floating type.
            banned: (vocabulary,) bool, True for what must not be picked.
            generators: One for each row; a row's draw depends on its own alone, not on who shares the batch.

        Returns:
            Token ids, and the log-probability of each under the model itself: at temperature 1, before anything was
            banned or cut off. A forward pass over the recorded ids gives the same numbers again, whatever the
            sampling was; that is what training compares with. Not finite where the logits are not.
        """
        logits = logits.float()
        scores = logits.masked_fill(banned, -torch.inf)
        if self.temperature > 0:
            weights = self._cut(torch.softmax(scores / self.temperature, dim=-1))
            # The largest of weight / exponential noise is a draw by weight. Unlike torch.multinomial it doesn't wait
            # for the device, and bad numbers don't end the process on a GPU.
            noise = torch.stack([_noise(weights[row], generator) for row, generator in enumerate(generators)])
            tokens = (weights / noise).argmax(dim=-1)
        else:
            tokens = scores.argmax(dim=-1)
        logprobs = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(dim=-1)
        # float64 holds every id exactly: both come over in one copy.
        picked, chances = torch.stack([tokens.double(), logprobs.double()]).tolist()
        return [int(token) for token in picked], chances

    def _cut(self, weights: torch.Tensor) -> torch.Tensor:
        if self.top_p == 1:
            return weights
        ordered, order = weights.sort(dim=-1, descending=True)
        # A token stays when those before it have not reached top_p yet: the likeliest always does.
        ordered = ordered.masked_fill(ordered.cumsum(dim=-1) - ordered >= self.top_p, 0)
        return torch.zeros_like(weights).scatter(1, order, ordered)


def banned_ids(vocabulary: int, ids: Iterable[int], known: int, device: torch.device) -> torch.Tensor:
    """A (vocabulary,) bool tensor: True for these ids, and for those from `known` on, which no text belongs to."""
    banned = torch.zeros(vocabulary, dtype=torch.bool)
    banned[list(ids)] = True
    banned[known:] = True
    return banned.to(device)


def _noise(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.empty_like(like).exponential_(generator=generator)
