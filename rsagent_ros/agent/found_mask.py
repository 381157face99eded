"""A mask that a turn made, as the record keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rsagent_ros.agent.marks import Mark
from rsagent_ros.agent.mask import Rle, bounding_box, check_rle, decode_rle


@dataclass(frozen=True)
class FoundMask:
    """One mask that a turn made.

    Attributes:
        mask_id: Its id in the episode.
        mask: Its run lengths, full frame.
        score: The segmenter's estimate for it, 0..1.
        stability: IoU of the mask's logits cut at -1 and at +1, 0..1.
    """

    mask_id: int
    mask: Rle
    score: float
    stability: float

    def mark(self) -> Mark | None:
        """The mark that is drawn for this mask; None for an empty mask, which no episode makes."""
        full = decode_rle(self.mask)
        box = bounding_box(full)
        if box is None:
            return None
        return Mark(self.mask_id, full[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)], box)


def check_drawable(
    views: Iterable[tuple[int, int, int, int]],
    masks: Iterable[FoundMask],
    sizes: Iterable[tuple[int, int]],
    frame: tuple[int, int],
    side: int,
) -> None:
    """Refuse what could not be drawn on a frame, of a turn from outside.

    Args:
        views: Crops, full-frame pixels.
        masks: Made in the turn.
        sizes: Width and height at which pictures were seen, pixels.
        frame: Width and height, pixels.
        side: Longest side of a picture, pixels.

    Raises:
        ValueError: One of them is of no such frame.
    """
    width, height = frame
    for view in views:
        x0, y0, x1, y1 = view
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ValueError(f"view {view} is not in the frame of {width} x {height}")
    for one in masks:
        if check_rle(one.mask)["size"] != [height, width]:
            raise ValueError(f"mask of size {one.mask['size']} in a frame of {[height, width]} (height, width)")
    for size in sizes:
        if not all(1 <= pixels <= side for pixels in size):
            raise ValueError(f"a picture was seen at {size} pixels; they are drawn with sides of 1 to {side}")
