"""The format of the chat, pictures, coordinates and tools: what a policy's model was trained on decides it.

A Policy names its `PictureFormat`; the episode draws the pictures so, states coordinates so, and reads them so. Then a
model server or a processor has nothing left to resize, and both sides mean the same pixel by the same number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.actions import ALL_TOOLS, ToolSet, tool_set
from rsagent_ros.agent.chat import Message, Picture, PictureKind, Text
from rsagent_ros.agent.geometry import EXTENT, Box, View
from rsagent_ros.agent.marks import Mark, draw_marks
from rsagent_ros.agent.mask import OVERLAY_SIDE, Mask, draw_overlay, fitted, resize

OverlayShape = Literal["view", "square"]
"""`view`: an overlay has the shape of its view. `square`: it stands at the top left of a black square."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """Sizes of the pictures of a view, the unit of coordinates, and the tools that there are.

    Attributes:
        side: Longest side of the clean picture in pixels; smaller views are shown as they are, but never under half of
            it.
        multiple: Both sides are whole multiples of this: the patch of a model times its merge (28 for Qwen2.5-VL, 32
            for Qwen3-VL). The picture is stretched by less than half a multiple for it.
        coordinates: `thousandths` of the current view (Qwen3-VL), or `pixels` of the newest picture (Qwen2.5-VL).
        overlay: Shape of overlays. Squares are for policies trained by release 0.1.0 and for its records; with them,
            `pixels` are always those of the clean picture.
        box_name: Another name that the model may give a box, that of its own training; empty for none.
        lenient: Slips of a reply are read, and noted in its turn. Records of release 0.1.0 were made without.
        tools: Names of the tools that the policy is told of.

    Raises:
        ValueError: Not even one multiple fits into the side, or there is no such tool.
    """

    side: int = 768
    multiple: int = 1
    coordinates: Literal["thousandths", "pixels"] = "thousandths"
    overlay: OverlayShape = "view"
    box_name: str = ""
    lenient: bool = True
    tools: ToolSet = ALL_TOOLS

    def __post_init__(self) -> None:
        if tool_set(self.tools) != self.tools:
            raise ValueError(f"tools are {self.tools}; name each once, in the order {tool_set(self.tools)}")
        if self.multiple < 1 or self.side < self.multiple:
            raise ValueError(f"pictures of {self.side} pixels hold no multiple of {self.multiple}; use a larger side")

    def size(self, width: int, height: int, kind: PictureKind = "view") -> tuple[int, int]:
        """Width and height in pixels of the view, of this size in pixels, within its picture."""
        if kind == "view":
            longer = max(width, height)
            scale = min(max(longer, self.side // 2), self.side) / longer
            return self._whole(width * scale), self._whole(height * scale)
        across, down = fitted(width, height, self.overlay_side)
        return (across, down) if self.overlay == "square" else (self._whole(across), self._whole(down))

    @property
    def overlay_side(self) -> int:
        """Longer side of an overlay in pixels: OVERLAY_SIDE or `side` if that is less, as a whole multiple."""
        side = min(OVERLAY_SIDE, self.side)
        return self._whole(side) if self.overlay == "view" else math.ceil(side / self.multiple) * self.multiple

    @property
    def largest_coordinate(self) -> int:
        """The largest that any view of these pictures has, in their unit."""
        return EXTENT if self.coordinates == "thousandths" else self._whole(self.side)

    def extent(self, width: int, height: int, newest: PictureKind = "view") -> tuple[float, float]:
        """Width and height of the coordinate space over a view of this size in pixels.

        Args:
            width: Of the view, pixels.
            height: Of the view, pixels.
            newest: The kind of picture of it that was shown last.
        """
        if self.coordinates == "thousandths":
            return EXTENT, EXTENT
        return self.size(width, height, "view" if self.overlay == "square" else newest)

    def box(self, box: Box, view: View, newest: PictureKind = "view") -> list[int]:
        """A box in 0..1000 of the view as whole numbers of this unit, grown outwards."""
        across, down = self.extent(view.width, view.height, newest)
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
        pixels = draw_overlay(crop, view.crop(mask), *pictures.size(view.width, view.height, "overlay"))
        drawn = Picture(pixels if pictures.overlay == "view" else _on_square(pixels, pictures.overlay_side), "overlay")
    drawn.pixels.flags.writeable = False
    return drawn


def blank_picture(view: View, kind: PictureKind, pictures: PictureFormat) -> Picture:
    """A black picture of the size that `draw_picture` gives the view; one byte of memory."""
    square = kind != "view" and pictures.overlay == "square"
    side = pictures.overlay_side
    width, height = (side, side) if square else pictures.size(view.width, view.height, kind)
    return Picture(np.broadcast_to(np.uint8(0), (height, width, 3)), kind)


def draw_marked(frame: NDArray[np.uint8], view: View, marks: Sequence[Mark], pictures: PictureFormat) -> Picture:
    """The picture of a view of the (H, W, 3) frame with several masks of it, numbered; marks in pixels of the frame."""
    width, height = pictures.size(view.width, view.height, "marks")
    moved = [replace(one, box=one.box.moved(-view.x0, -view.y0)) for one in marks]
    pixels = draw_marks(view.crop(frame), moved, width, height)
    drawn = Picture(pixels if pictures.overlay == "view" else _on_square(pixels, pictures.overlay_side), "marks")
    drawn.pixels.flags.writeable = False
    return drawn


def resized(picture: Picture, width: int, height: int) -> Picture:
    """The picture as a policy sees it that has no memory for its whole size; width and height in pixels."""
    if picture.pixels.shape[:2] == (height, width):
        return picture
    smaller = np.asarray(cv2.resize(picture.pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    smaller.flags.writeable = False
    return replace(picture, pixels=smaller)


def as_seen(chat: list[Message], sizes: Sequence[tuple[int, int]]) -> list[Message]:
    """A chat whose first pictures have the sizes at which a policy saw them.

    Args:
        chat: With pictures as the episode drew them.
        sizes: Width and height in pixels of the first pictures, in order; pictures beyond them stay as they are.
    """
    left = iter(sizes)

    def part_seen(part: Text | Picture) -> Text | Picture:
        size = next(left, None) if isinstance(part, Picture) else None
        return part if size is None or isinstance(part, Text) else resized(part, *size)

    return [replace(message, parts=tuple(map(part_seen, message.parts))) for message in chat] if sizes else chat


def _on_square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture at the top left of a black square."""
    canvas = np.zeros((side, side, 3), dtype=np.uint8)
    canvas[: pixels.shape[0], : pixels.shape[1]] = pixels
    return canvas
