"""How pictures and coordinates in the chat look: what a policy's model was trained on decides it.

A Policy names its `PictureFormat`; the episode draws the pictures so, states coordinates so, and reads them so. Then a
model server or a processor has nothing left to resize, and both sides mean the same pixel by the same number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.chat import Picture
from rsagent_ros.agent.geometry import EXTENT, Box, View
from rsagent_ros.agent.mask import OVERLAY_SIDE, Mask, draw_overlay, resize


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """Sizes of the clean pictures of a view, and the unit of coordinates.

    Attributes:
        side: Longest side in pixels; smaller views are shown as they are, but never under half of it.
        multiple: Both sides are whole multiples of this: the patch of a model times its merge (28 for Qwen2.5-VL, 32
            for Qwen3-VL). The picture is stretched by less than half a multiple for it.
        coordinates: `thousandths` of the current view (Qwen3-VL), or `pixels` of its clean picture (Qwen2.5-VL).

    Raises:
        ValueError: Not even one multiple fits into the side.
    """

    side: int = 768
    multiple: int = 1
    coordinates: Literal["thousandths", "pixels"] = "thousandths"

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.side < self.multiple:
            raise ValueError(f"pictures of {self.side} pixels hold no multiple of {self.multiple}; use a larger side")

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in pixels of the clean picture of a view of this size in pixels."""
        longer = max(width, height)
        scale = min(max(longer, self.side // 2), self.side) / longer
        return self._whole(width * scale), self._whole(height * scale)

    @property
    def overlay_side(self) -> int:
        """Pixels a side of the square overlay: OVERLAY_SIDE or `side` if that is less, or the next multiple."""
        return math.ceil(min(OVERLAY_SIDE, self.side) / self.multiple) * self.multiple

    def extent(self, width: int, height: int) -> tuple[float, float]:
        """Width and height of the coordinate space over a view of this size in pixels."""
        if self.coordinates == "thousandths":
            return EXTENT, EXTENT
        return self.size(width, height)

    def box(self, box: Box, view: View) -> list[int]:
        """A box in 0..1000 of the view as whole numbers of this unit, grown outwards."""
        across, down = self.extent(view.width, view.height)
        x, y = across / EXTENT, down / EXTENT
        return [math.floor(box.x0 * x), math.floor(box.y0 * y), math.ceil(box.x1 * x), math.ceil(box.y1 * y)]

    def _whole(self, side: float) -> int:
        """The nearest positive multiple that is not over the longest side."""
        most = self.side // self.multiple
        return min(most, max(1, round(side / self.multiple))) * self.multiple


DEFAULT_PICTURES = PictureFormat()


def draw_picture(frame: NDArray[np.uint8], view: View, mask: Mask | None, pictures: PictureFormat) -> Picture:
    """The picture of a view of the (H, W, 3) frame: clean, or with a full-frame mask as its overlay."""
    crop = view.crop(frame)
    if mask is None:
        drawn = Picture(resize(crop, *pictures.size(view.width, view.height)), "view")
    else:
        drawn = Picture(draw_overlay(crop, view.crop(mask), pictures.overlay_side), "overlay")
    drawn.pixels.flags.writeable = False
    return drawn
