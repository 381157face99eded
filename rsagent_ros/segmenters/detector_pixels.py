"""Pixels as open-vocabulary detectors take them: the same numbers as the stock processors make, without torchvision."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from rsagent_ros.segmenters.pixel_file import Colours
from rsagent_ros.segmenters.sam2_tensors import normalised, resized


@dataclass(frozen=True)
class ShapeKept:
    """Pixels of Grounding DINO: the image scaled, its shape kept.

    Attributes:
        shorter, longer: Of the scaled image: the shorter side gets `shorter` pixels, unless the longer one would get
            more than `longer`.
        mean, std: Of each colour of RGB, 0..1.
    """

    shorter: int
    longer: int
    mean: Colours
    std: Colours

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the scaled image; rounded as the stock processor does."""
        low, high = sorted((height, width))
        exact = self.longer * low / high if high / low * self.shorter > self.longer else None
        short = self.shorter if exact is None else max(1, round(exact))
        if low == short:
            return height, width
        long = int((short if exact is None else exact) * high / low)
        return (short, long) if height <= width else (long, short)

    def prepare(self, image: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
        """A (H, W, 3) uint8 RGB image as (1, 3, h, w) float32 on the device."""
        levels = resized(image, self.size(*image.shape[:2]), device)
        return normalised(levels, self.mean, self.std, device)

    def extent(self, height: int, width: int) -> tuple[int, int]:
        """Width and height, in pixels of the image, of what boxes run over from 0 to 1."""
        return width, height


@dataclass(frozen=True)
class Squared:
    """Pixels of OWLv2: black below or beside the image makes it a square, which is scaled.

    Attributes:
        side: Of the scaled square.
        mean, std: Of each colour of RGB, 0..1.
    """

    side: int
    mean: Colours
    std: Colours

    def prepare(self, image: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
        """A (H, W, 3) uint8 RGB image as (1, 3, side, side) float32 on the device."""
        levels = torch.from_numpy(np.array(image, order="C")).to(device).permute(2, 0, 1)[None].float() * (1 / 255)
        height, width = image.shape[:2]
        square = max(height, width)
        levels = F.pad(levels, (0, square - width, 0, square - height))
        levels = _blurred(levels, (square / self.side - 1) / 2)
        size = (self.side, self.side)
        scaled = F.interpolate(levels, size=size, mode="bilinear", align_corners=False)
        return normalised(scaled * 255, self.mean, self.std, device)

    def extent(self, height: int, width: int) -> tuple[int, int]:
        """Width and height, in pixels of the image, of what boxes run over from 0 to 1."""
        return max(height, width), max(height, width)


def _blurred(levels: torch.Tensor, sigma: float) -> torch.Tensor:
    """(1, 3, H, W) with a Gaussian of that standard deviation in pixels, against moire; as it is for none."""
    if sigma <= 0:
        return levels
    reach = math.ceil(3 * sigma)
    # torchvision's kernel: its exponent lacks the factor 1/2, which the spacing of its steps makes up for.
    steps = torch.linspace(-reach / math.sqrt(2), reach / math.sqrt(2), 2 * reach + 1, device=levels.device)
    kernel = torch.softmax(-((steps / sigma) ** 2), 0).expand(3, 1, 1, -1)
    padded = F.pad(levels, (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.mT, groups=3)
