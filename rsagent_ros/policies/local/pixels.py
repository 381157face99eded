"""Pixels as the families' vision towers take them: normalised patches, in the order in which they are merged.

The same numbers as transformers' image processors give, without their resizing (pictures have their final size when
they come), and computed on the model's device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Patches:
    """Format of pixels that a checkpoint wants; read from its preprocessor_config.json.

    Attributes:
        patch: Side of a patch in pixels.
        merge: So many patches a side become one token.
        frames: Frames of a patch in time; a still picture is repeated.
        mean, std: Of each channel, for values from 0 to 1.
    """

    patch: int
    merge: int
    frames: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def cut(self, pixels: NDArray[np.uint8], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """A (h, w, 3) uint8 RGB picture as a (patches, 3 * frames * patch * patch) tensor on the device.

        Both sides must be whole multiples of patch * merge.
        """
        # A copy: the chat's arrays are read-only, and torch has no such thing.
        image = torch.tensor(pixels, device=device).to(torch.float32).permute(2, 0, 1) / 255
        mean = torch.tensor(self.mean, device=device).view(3, 1, 1)
        std = torch.tensor(self.std, device=device).view(3, 1, 1)
        rows, columns = (side // (self.patch * self.merge) for side in pixels.shape[:2])
        blocks = ((image - mean) / std).view(3, rows, self.merge, self.patch, columns, self.merge, self.patch)
        # (row, column, row in block, column in block, channel, y, x): blocks of merge x merge patches, one a token.
        patches = blocks.permute(1, 4, 2, 5, 0, 3, 6).unsqueeze(5).expand(-1, -1, -1, -1, -1, self.frames, -1, -1)
        return patches.reshape(rows * columns * self.merge**2, -1).to(dtype)
