"""Images, prompts and masks between NumPy and the square tensors of a SAM network.

The same numbers as the stock processors make, without torchvision. The image is stretched to the square, not padded,
and coordinates with it. Like the stock processors this leaves out half a pixel of the square, 0.05 % of its side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from rsagent_ros.agent.segmenter import MaskPrompt

TOP_LEFT, BOTTOM_RIGHT, NO_POINT = 2, 3, -1
"""Labels beside FOREGROUND and BACKGROUND: the two corners of a box are points, as Meta gives them."""

LOGIT_LIMIT = 32.0
"""Logits that go back in as `mask_input` stay within this, as Meta's predictor keeps them."""


@dataclass(frozen=True)
class InputFormat:
    """Format of a network's inputs.

    Attributes:
        image_size: Side in pixels of the square that images are stretched to.
        mask_input_size: Side of the square of `mask_input` logits.
        mean, std: Of each colour of RGB, 0..1, that pixels are normalised with.
    """

    image_size: int
    mask_input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class PromptTensors:
    """P prompts of one form, on the network's device.

    Attributes:
        point_coords: (P, N, 2) float32, x and y in pixels of the square; N is at least 1.
        point_labels: (P, N) int64: FOREGROUND, BACKGROUND, TOP_LEFT, BOTTOM_RIGHT or NO_POINT.
        mask_input: (P, 1, mask_input_size, mask_input_size) float32 logits, or None.
        multimask_output: Three candidates for each prompt, not one.
    """

    point_coords: torch.Tensor
    point_labels: torch.Tensor
    mask_input: torch.Tensor | None
    multimask_output: bool


def to_pixels(image: NDArray[np.uint8], expected: InputFormat, device: torch.device) -> torch.Tensor:
    """A (H, W, 3) uint8 RGB image as (1, 3, image_size, image_size) float32 on the device."""
    size = (expected.image_size, expected.image_size)
    return normalised(resized(image, size, device), expected.mean, expected.std, device)


def resized(image: NDArray[np.uint8], size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """A (H, W, 3) uint8 RGB image as (1, 3, height, width) float32 of whole grey levels, 0..255, on the device."""
    # A copy: frames are often read-only, of which torch warns.
    source = torch.from_numpy(np.array(image, order="C")).to(device).permute(2, 0, 1)[None]
    if device.type != "cpu":  # bytes are resized on the CPU only; rounded, this gives the same to one grey level
        source = source.float()
    return F.interpolate(source, size=size, mode="bilinear", align_corners=False, antialias=True).float().round()


def normalised(
    levels: torch.Tensor, mean: tuple[float, float, float], std: tuple[float, float, float], device: torch.device
) -> torch.Tensor:
    """(1, 3, H, W) grey levels, 0..255, less the mean and over the standard deviation of each colour."""
    means, spreads = (torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (mean, std))
    return (levels - means) / spreads


def form(prompt: MaskPrompt) -> tuple[int, bool, bool]:
    """The form of a prompt: number of points, box, mask. Only equal forms share a batch: padding changes answers."""
    return len(prompt.point_labels), prompt.box is not None, prompt.mask_input is not None


def to_tensors(
    prompts: Sequence[MaskPrompt], size: tuple[int, int], expected: InputFormat, device: torch.device
) -> PromptTensors:
    """Prompts of one form, in pixels of an image of `size` (height, width), as the network takes them."""
    height, width = size
    points = [_with_corners(prompt) for prompt in prompts]
    coords = torch.tensor(np.stack([coords for coords, _ in points]), dtype=torch.float32)
    coords = coords * torch.tensor([expected.image_size / width, expected.image_size / height])
    labels = torch.tensor(np.stack([labels for _, labels in points]))
    inputs = [_resized(prompt.mask_input, expected) for prompt in prompts if prompt.mask_input is not None]
    mask_input = torch.cat(inputs).to(device) if inputs else None
    return PromptTensors(coords.to(device), labels.to(device), mask_input, prompts[0].multimask_output)


def _with_corners(prompt: MaskPrompt) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Coordinates and labels of the box's corners and the points; a point that means nothing where there are none."""
    coords, labels = prompt.point_coords, prompt.point_labels
    if prompt.box is not None:
        coords = np.concatenate([prompt.box.reshape(2, 2), coords])
        labels = np.concatenate([[TOP_LEFT, BOTTOM_RIGHT], labels])
    return (coords, labels) if len(labels) else (np.zeros((1, 2)), np.array([NO_POINT]))


def _resized(logits: NDArray[np.float32], expected: InputFormat) -> torch.Tensor:
    """(h, w) logits as (1, 1, mask_input_size, mask_input_size)."""
    given = torch.from_numpy(np.array(logits, dtype=np.float32, order="C"))[None, None]
    size = (expected.mask_input_size, expected.mask_input_size)
    if given.shape[-2:] != size:
        given = F.interpolate(given, size=size, mode="bilinear", align_corners=False, antialias=True)
    return given.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)


def to_masks(logits: torch.Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(K, h, w) logits of the square as (K, H, W) masks of an image of `size` (height, width)."""
    full = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0] > 0
    return np.asarray(full.cpu().numpy(), dtype=np.bool_)
