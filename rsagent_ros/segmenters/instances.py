"""From the masks that a network drew for a phrase to its instances: each thing once, the surest first."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.agent.segmenter import Detection

SAME = 0.7
"""IoU of two masks from which on they show one thing; as SAM's own generator of masks has it."""

_AT_ONCE = 8
"""Masks that are resized in one pass: at 1080p each takes 8 MB."""


def distinct(scores: torch.Tensor, inside: torch.Tensor) -> list[int]:
    """Indices of the masks that show different things, the surest of each thing, in descending order of their scores.

    Args:
        scores: (N,).
        inside: (N, h, w) bool at any resolution. One without a pixel shows nothing, and is left out.
    """
    flat = inside.flatten(1).float()
    shared = flat @ flat.T
    sizes = flat.sum(1)
    overlaps = shared > SAME * (sizes[:, None] + sizes[None, :] - shared)
    repeats = overlaps.cpu().numpy()
    kept: list[int] = []
    # A mask without a pixel does not even repeat itself.
    for index in torch.argsort(scores, descending=True, stable=True).tolist():
        if repeats[index, index] and not any(repeats[index, earlier] for earlier in kept):
            kept.append(index)
    return kept


def to_full_size(probabilities: torch.Tensor, size: tuple[int, int]) -> Mask:
    """(N, h, w) probabilities as (N, H, W) bool masks of an image of `size` (height, width), as the stock processor."""
    masks = [
        (F.interpolate(part[None], size=size, mode="bilinear", align_corners=False)[0] > 0.5).cpu()
        for part in probabilities.split(_AT_ONCE)
    ]
    return np.asarray(torch.cat(masks).numpy(), dtype=np.bool_)


def detection(mask: Mask, score: float, stability: float) -> Detection | None:
    """A (H, W) bool mask as a detection; None where it has no pixel."""
    box = bounding_box(mask)
    if box is None:
        return None
    part = mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)].copy()
    return Detection(box, part, score, stability)
