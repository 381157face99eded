"""Between an image and the square frame that a SAM network sees: pixels and prompts in, masks out.

The same numbers as the stock processors make, without torchvision. The image is stretched to the square, not padded,
and coordinates with it. Like the stock processors this leaves out half a pixel of the frame, 0.05 % of its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from rsagent_ros.agent.segmenter import MaskPrompt

NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT, NO_POINT = 0, 1, 2, 3, -1
"""What the networks call a point. The two corners of a box are points, as Meta gives them."""

LOGIT_LIMIT = 32.0
"""Logits that go back in as a prior stay within this, as Meta's predictor keeps them."""


@dataclass(frozen=True)
class Frame:
    """What a network wants to see.

    Attributes:
        side: Of the square of pixels.
        prior_side: Of the square of logits that it takes as a prior.
        mean, std: Of each colour of RGB, 0..1, that pixels are normalised with.
    """

    side: int
    prior_side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Prompts:
    """P prompts of one form, as tensors on the network's device.

    Attributes:
        points: (P, N, 2) float32, x and y in pixels of the frame; N is at least 1.
        labels: (P, N) int64: what each point is.
        prior: (P, 1, prior_side, prior_side) float32 logits, or None.
        ambiguous: They may mean a part, a thing, or a group: three candidates each are wanted.
    """

    points: torch.Tensor
    labels: torch.Tensor
    prior: torch.Tensor | None
    ambiguous: bool


def to_pixels(image: NDArray[np.uint8], frame: Frame, device: torch.device) -> torch.Tensor:
    """A (H, W, 3) uint8 RGB image as (1, 3, side, side) float32 on the device."""
    # A copy: frames are often read-only, of which torch warns.
    source = torch.from_numpy(np.array(image, order="C")).to(device).permute(2, 0, 1)[None]
    if device.type != "cpu":  # bytes are resized on the CPU only; rounded, this gives the same to one grey level
        source = source.float()
    size = (frame.side, frame.side)
    resized = F.interpolate(source, size=size, mode="bilinear", align_corners=False, antialias=True).float().round()
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (frame.mean, frame.std))
    return (resized - mean) / std


def form(prompt: MaskPrompt) -> tuple[int, bool, bool]:
    """Prompts of equal form fit into one batch: padding one with points that mean nothing would change its answer."""
    return len(prompt.positive) + len(prompt.negative), prompt.box is not None, prompt.prior is not None


def to_tensors(prompts: Sequence[MaskPrompt], size: tuple[int, int], frame: Frame, device: torch.device) -> Prompts:
    """Prompts of one form, in pixels of an image of `size` (height, width), as the network takes them."""
    height, width = size
    described = [_described(prompt) for prompt in prompts]
    points = torch.tensor([[(x, y) for x, y, _ in part] for part in described], dtype=torch.float32)
    points = points * torch.tensor([frame.side / width, frame.side / height])
    labels = torch.tensor([[label for _, _, label in part] for part in described])
    priors = [_prior(prompt.prior, frame.prior_side) for prompt in prompts if prompt.prior is not None]
    # A box or a second point says which of a thing's parts is meant, and so does a mask to refine: from then on the
    # networks are trained to answer with one mask, and three would be guesses (Segment Anything, appendix A).
    count, boxed, refined = form(prompts[0])
    ambiguous = count == 1 and not boxed and not refined
    prior = torch.cat(priors).to(device) if priors else None
    return Prompts(points.to(device), labels.to(device), prior, ambiguous)


def _described(prompt: MaskPrompt) -> list[tuple[float, float, int]]:
    """The points of a prompt and what each is."""
    points = []
    if prompt.box is not None:
        points += [(prompt.box.x0, prompt.box.y0, TOP_LEFT), (prompt.box.x1, prompt.box.y1, BOTTOM_RIGHT)]
    points += [(point.x, point.y, POSITIVE) for point in prompt.positive]
    points += [(point.x, point.y, NEGATIVE) for point in prompt.negative]
    return points or [(0.0, 0.0, NO_POINT)]


def _prior(logits: NDArray[np.float32], side: int) -> torch.Tensor:
    """(h, w) logits as (1, 1, side, side)."""
    given = torch.from_numpy(np.array(logits, dtype=np.float32, order="C"))[None, None]
    if given.shape[-2:] != (side, side):
        given = F.interpolate(given, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
    return given.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)


def to_masks(logits: torch.Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(K, h, w) logits of the frame as (K, H, W) masks of an image of `size` (height, width)."""
    full = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0] > 0
    return np.asarray(full.cpu().numpy(), dtype=np.bool_)
