"""GRPO's loss in plain torch, one episode after the other, without padding: what the trainer is held against.

Shao et al., 2024 (DeepSeekMath), equation 3, with an advantage per turn and the k3 estimate of the KL divergence;
DAPO's mean over all tokens (Yu et al., 2025) and Dr. GRPO's sum over a constant (Liu et al., 2025).
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


def grpo_loss(
    model: Any, old: Any, reference: Any, checkpoint: Checkpoint, episodes: Sequence[TokenSequence],
    advantages: Sequence[Sequence[float]], *, epsilon: float, beta: float, epsilon_high: float | None = None,
    loss_type: str = "grpo", longest: int = 0,
) -> torch.Tensor:  # fmt: skip
    """The loss of one batch.

    Args:
        model, old, reference: As it is now, as it sampled, and as it began.
        checkpoint: Whose tokens.
        episodes, advantages: Those of each turn of each episode.
        epsilon, epsilon_high: Clipping below and above; the same without the second.
        beta: Of the KL divergence.
        loss_type: `grpo`, `dapo` or `dr_grpo`.
        longest: Most tokens of a completion, for `dr_grpo`.
    """
    above = epsilon if epsilon_high is None else epsilon_high
    losses = []
    for episode, of_turns in zip(episodes, advantages, strict=True):
        now = chances(model, checkpoint, episode)
        with torch.no_grad():
            before, start = chances(old, checkpoint, episode), chances(reference, checkpoint, episode)
        terms = []
        for (begin, end), advantage in zip(episode.reply_spans, of_turns, strict=True):
            for token in range(begin, end):
                ratio = (now[token] - before[token]).exp()
                gain = torch.min(ratio * advantage, ratio.clamp(1 - epsilon, 1 + above) * advantage)
                apart = start[token] - now[token]
                terms.append(-gain + beta * (apart.exp() - apart - 1))
        losses.append(torch.stack(terms))
    if loss_type == "dapo":
        return torch.cat(losses).mean()
    if loss_type == "dr_grpo":
        return torch.cat(losses).sum() / (len(losses) * longest)
    return torch.stack([terms.mean() for terms in losses]).mean()
