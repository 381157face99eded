"""GRPO's loss in plain torch, one episode after the other, without padding: what the trainer is held against.

Shao et al., 2024 (DeepSeekMath), equation 3, with an advantage per turn and the k3 estimate of the KL divergence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_training.trainer.token_sequence import TokenSequence


def chances(model: Any, checkpoint: Checkpoint, episode: TokenSequence) -> torch.Tensor:
    """(tokens,) log-probability of each token after those before it; positions are given, not counted by the model."""
    layout = episode.layout
    pixels = [checkpoint.patches.cut(one.pixels, torch.device("cpu"), torch.float32) for one in layout.pictures]
    merge = checkpoint.patches.merge
    logits = model(
        input_ids=torch.tensor([layout.ids]),
        position_ids=torch.from_numpy(layout.positions.copy())[:, None],
        pixel_values=torch.cat(pixels),
        image_grid_thw=torch.tensor([(1, one.rows * merge, one.columns * merge) for one in layout.pictures]),
    ).logits[0]
    said = torch.tensor(layout.ids[1:])
    after_the_first = logits[:-1].log_softmax(-1).gather(1, said[:, None])[:, 0]
    return torch.cat([after_the_first.new_zeros(1), after_the_first])


def normalised(values: Sequence[float]) -> torch.Tensor:
    """Less the mean, over the standard deviation."""
    row = torch.tensor(values, dtype=torch.float64)
    return (row - row.mean()) / (row.std() + 1e-4)


def grpo_loss(
    model: Any, old: Any, reference: Any, checkpoint: Checkpoint, episodes: Sequence[TokenSequence],
    advantages: Sequence[Sequence[float]], *, epsilon: float, beta: float,
) -> torch.Tensor:  # fmt: skip
    """The loss of one batch; `advantages` are those of each turn of each episode."""
    losses = []
    for episode, of_turns in zip(episodes, advantages, strict=True):
        now = chances(model, checkpoint, episode)
        with torch.no_grad():
            before, start = chances(old, checkpoint, episode), chances(reference, checkpoint, episode)
        terms = []
        for (begin, end), advantage in zip(episode.reply_spans, of_turns, strict=True):
            for token in range(begin, end):
                ratio = (now[token] - before[token]).exp()
                gain = torch.min(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)
                apart = start[token] - now[token]
                terms.append(-gain + beta * (apart.exp() - apart - 1))
        losses.append(torch.stack(terms).mean())
    return torch.stack(losses).mean()
