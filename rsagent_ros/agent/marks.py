"""Set of marks: a picture with several masks outlined, each with its number beside it (Yang et al. 2023).

Made to be read at 384 pixels, by models and people. An outline runs around a thing and not over it; a number stands on
a thing only where that is much larger, else on ground that nobody marked. The colours are those of Okabe and Ito, which
colour-blind people can tell apart; the numbers say which is which in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, resize

COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip
"""RGB, in the order of numbers."""

LABEL_HEIGHT = 13
_DIGIT_WIDTH = 8
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.38
_GAPS = (2, 8, 16, 28, 44)
_LARGE = 8.0
"""A thing of that many times the label's area has room for the label on itself."""


@dataclass(frozen=True, eq=False)
class Mark:
    """One numbered mask.

    Attributes:
        number: The mask's id.
        part: (h, w) bool, the mask inside its box.
        box: Its bounding box, whole pixels of the image that is drawn on.
    """

    number: int
    part: Mask
    box: Box


@dataclass(frozen=True, eq=False)
class _Placed:
    """A mark in pixels of the picture: its top left corner, and the mask from there on."""

    number: int
    x: int
    y: int
    part: Mask


def draw_marks(image: NDArray[np.uint8], marks: Sequence[Mark], width: int, height: int) -> NDArray[np.uint8]:
    """A view with several masks on it.

    Args:
        image: (h, w, 3) uint8 RGB, the view.
        marks: What to outline and number.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    drawn = resize(image, width, height)
    scale = width / image.shape[1], height / image.shape[0]
    placed = [_placed(mark, scale, drawn.shape[:2]) for mark in marks]
    taken = np.zeros((height, width), dtype=np.bool_)
    for one in placed:
        rows, columns = one.part.shape
        _outline(drawn, one)
        taken[one.y : one.y + rows, one.x : one.x + columns] |= one.part
    # Small things first: they have the fewest places for a number.
    for one in sorted(placed, key=lambda one: one.part.size):
        _number(drawn, taken, one)
    return drawn


def colour_of(number: int) -> tuple[int, int, int]:
    """RGB of a mark."""
    return COLOURS[(number - 1) % len(COLOURS)]


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """RGB of writing on a ground: black on light grounds, white on dark ones, by Rec. 601 luma."""
    return (0, 0, 0) if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 110 else (255, 255, 255)


def _placed(mark: Mark, scale: tuple[float, float], shape: tuple[int, ...]) -> _Placed:
    """A mark, shrunk or grown to the picture; never empty."""
    x0, y0 = int(mark.box.x0 * scale[0]), int(mark.box.y0 * scale[1])
    x1 = min(shape[1], max(x0 + 1, round(mark.box.x1 * scale[0])))
    y1 = min(shape[0], max(y0 + 1, round(mark.box.y1 * scale[1])))
    x0, y0 = min(x0, x1 - 1), min(y0, y1 - 1)
    cover = cv2.resize(
        np.ascontiguousarray(mark.part).view(np.uint8) * np.uint8(255), (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA
    )
    return _Placed(mark.number, x0, y0, np.asarray(cover >= min(128, int(cover.max()))))


def _outline(drawn: NDArray[np.uint8], one: _Placed) -> None:
    """Draw a line around a mask, just outside of it, on a dark one that sets it off from any ground."""
    around = cv2.copyMakeBorder(one.part.view(np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    for reach, colour in ((5, (0, 0, 0)), (3, colour_of(one.number))):
        grown = cv2.dilate(around, np.ones((reach, reach), np.uint8))
        lines, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(one.x - 2, one.y - 2))
        cv2.drawContours(drawn, lines, -1, colour, 1)


def _number(drawn: NDArray[np.uint8], taken: NDArray[np.bool_], one: _Placed) -> None:
    """Write a mark's number where it hides the least, and join it to the mark where that is not close by."""
    label = _label(one.number)
    rows, columns = label.shape[:2]
    height, width = taken.shape
    if rows > height or columns > width:
        return
    x, y, gap = _place(taken, one, columns, rows)
    if gap > _GAPS[0]:
        nearest = (
            min(max(x + columns // 2, one.x), one.x + one.part.shape[1] - 1),
            min(max(y + rows // 2, one.y), one.y + one.part.shape[0] - 1),
        )
        cv2.line(drawn, (x + columns // 2, y + rows // 2), nearest, colour_of(one.number), 1)
    drawn[y : y + rows, x : x + columns] = label
    taken[y : y + rows, x : x + columns] = True


def _place(taken: NDArray[np.bool_], one: _Placed, columns: int, rows: int) -> tuple[int, int, int]:
    """Top left corner of a label, and its distance from the mark; 0 on the mark itself."""
    height, width = taken.shape
    if np.count_nonzero(one.part) > _LARGE * columns * rows:
        padded = cv2.copyMakeBorder(one.part.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
        row, column = divmod(int(depth.argmax()), depth.shape[1])
        if depth[row, column] > max(columns, rows) / 2:
            x, y = one.x + column - columns // 2, one.y + row - rows // 2
            return min(max(x, 0), width - columns), min(max(y, 0), height - rows), 0
    least, best = columns * rows + 1, (0, 0, 0)
    for x, y, gap in _around(one, columns, rows):
        x, y = min(max(x, 0), width - columns), min(max(y, 0), height - rows)
        hidden = int(np.count_nonzero(taken[y : y + rows, x : x + columns]))
        if not hidden:
            return x, y, gap
        if hidden < least:
            least, best = hidden, (x, y, gap)
    return best


def _around(one: _Placed, columns: int, rows: int) -> Iterator[tuple[int, int, int]]:
    """Places beside a mark, nearer ones first."""
    x0, y0, x1, y1 = one.x, one.y, one.x + one.part.shape[1], one.y + one.part.shape[0]
    middle_x, middle_y = (x0 + x1 - columns) // 2, (y0 + y1 - rows) // 2
    for gap in _GAPS:
        above, below, left, right = y0 - rows - gap, y1 + gap, x0 - columns - gap, x1 + gap
        yield from ((x, y, gap) for x, y in ((middle_x, above), (right, middle_y), (left, middle_y), (middle_x, below)))
        yield from ((x, y, gap) for x in (right, left) for y in (above, below))


@cache
def _label(number: int) -> NDArray[np.uint8]:
    """(LABEL_HEIGHT, w, 3) uint8 RGB: the number on a ground of its colour, with a dark rim."""
    text, colour = str(number), colour_of(number)
    width = 5 + _DIGIT_WIDTH * len(text)
    label = np.full((LABEL_HEIGHT, width, 3), colour, dtype=np.uint8)
    cv2.putText(label, text, (3, LABEL_HEIGHT - 3), _FONT, _FONT_SCALE, ink_on(colour), 1, cv2.LINE_AA)
    cv2.rectangle(label, (0, 0), (width - 1, LABEL_HEIGHT - 1), (0, 0, 0), 1)
    label.flags.writeable = False
    return label
