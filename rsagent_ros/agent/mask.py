"""Masks: (H, W) bool arrays, their COCO run lengths, their overlap, and the overlay a policy looks at.

The overlay is a spotlight: what the mask covers keeps its own colours, the rest is darkened, and a magenta line runs
along the edge. A tint, as others draw it, would change the very colours that the policy has to check.
"""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from rsagent_ros.agent.geometry import Box

Mask = NDArray[np.bool_]

OVERLAY_SIDE = 384
"""Longer side of the overlay in pixels; the paper's history pool has this size."""

EDGE_COLOUR = (255, 0, 255)
"""RGB of the line along the mask's edge."""

DIM = 0.45
"""Brightness of what the mask does not cover, relative to the clean view."""

MAX_RLE_BYTES = 4_000_000
MAX_PIXELS = 64_000_000


class Rle(TypedDict):
    """COCO's compressed run lengths: column-major, counts as ASCII text."""

    size: list[int]
    counts: str


def encode_rle(mask: Mask) -> Rle:
    """COCO run lengths of a (H, W) bool mask."""
    # cv2's transpose is cache-aware and twice as fast here as np.asfortranarray.
    column_major = cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)).T
    encoded = coco.encode(column_major)
    return {
        "size": [int(mask.shape[0]), int(mask.shape[1])],
        "counts": encoded["counts"].decode("ascii"),
    }


def encode_part(part: Mask, box: Box, shape: tuple[int, int]) -> Rle:
    """COCO run lengths of a mask that is `part` inside of a box and nothing elsewhere; as `encode_rle` of the whole.

    Faster than that where the part is small.

    Args:
        part: (y1 - y0, x1 - x0) bool.
        box: Whole pixels of the mask.
        shape: (H, W) of the mask.
    """
    height, width = shape
    x0, y0 = int(box.x0), int(box.y0)
    # Where runs begin and end down each column, as indices of the whole in column-major order.
    edges = np.zeros((part.shape[1], part.shape[0] + 2), dtype=np.int8)
    edges[:, 1:-1] = part.T
    columns, rows = np.nonzero(np.diff(edges, axis=1))
    ends = (x0 + columns) * height + y0 + rows
    if part.shape[0] == height:  # a run may go on at the top of the next column
        touching = np.flatnonzero(ends[1:-1:2] == ends[2::2])
        ends = np.delete(ends, np.concatenate([2 * touching + 1, 2 * touching + 2]))
    counts = np.diff(ends, prepend=0, append=height * width)
    counts = counts[: -1 if len(counts) > 1 and counts[-1] == 0 else None]  # as the whole's end
    encoded = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def whole(part: Mask, box: Box, shape: tuple[int, int]) -> Mask:
    """A (H, W) mask that is `part` inside of a box of whole pixels, and False elsewhere."""
    full = np.zeros(shape, dtype=np.bool_)
    full[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = part
    return full


def decode_rle(rle: object) -> Mask:
    """The (H, W) bool mask of COCO run lengths from anywhere: every field is checked before it is used.

    Raises:
        ValueError: As in `check_rle`.
    """
    known = check_rle(rle)
    decoded = coco.decode({"size": known["size"], "counts": known["counts"].encode("ascii")})
    return np.ascontiguousarray(decoded).astype(np.bool_)


def check_rle(rle: object) -> Rle:
    """Run lengths from anywhere as what they claim to be, without the pixels.

    Raises:
        ValueError: Not an RLE, larger than the limits, or its runs do not add up to its size.
    """
    if not isinstance(rle, dict) or set(rle) != {"size", "counts"}:
        raise ValueError('an RLE mask is an object with "size": [height, width] and "counts": text')
    size, counts = rle["size"], rle["counts"]
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
        raise ValueError(f"RLE size is {size!r}; it must be [height, width], two positive integers")
    if not isinstance(counts, str) or not counts.isascii():
        raise ValueError(f"RLE counts is {type(counts).__name__}; it must be ASCII text (COCO's compressed form)")
    if size[0] * size[1] > MAX_PIXELS or len(counts) > MAX_RLE_BYTES:
        raise ValueError(f"RLE of {size[0]} x {size[1]} pixels and {len(counts)} bytes is over the limits")
    if _run_total(counts) != size[0] * size[1]:
        raise ValueError(f"the runs of the RLE do not add up to its size {size[0]} x {size[1]}")
    return {"size": size, "counts": counts}


def _run_total(counts: str) -> int:
    """Pixels that compressed counts describe. Older pycocotools write past their buffer when these exceed the size."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        # Six groups of five bits hold any run that is allowed; with more pycocotools would compute with other numbers.
        if not 0 <= bits < 64 or shift > 25:
            raise ValueError("RLE counts hold characters that COCO's compressed form does not have")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            # From the fourth run on, a run is stored as the difference to the one two before it.
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            if runs[-1] < 0:
                raise ValueError("RLE counts hold a negative run")
            value = shift = 0
    if shift:
        raise ValueError("RLE counts are cut short")
    return sum(runs)


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union; 1 for two empty masks.

    Raises:
        ValueError: The masks differ in size.
    """
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape} (height, width) can't be compared")
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def area(mask: Mask) -> int:
    """Pixels covered."""
    return int(np.count_nonzero(mask))


def bounding_box(mask: Mask) -> Box | None:
    """The smallest box around the mask in its own pixels; None for an empty mask."""
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return Box(x, y, x + width, y + height) if width else None


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of an image of this size once its longer side has `side` pixels and its shape is kept."""
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def fit(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """An (h, w, 3) image scaled so that its longer side has `side` pixels, its shape kept; always a copy."""
    return resize(image, *fitted(image.shape[1], image.shape[0], side))


def resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """An (h, w, 3) image at another size in pixels; always a copy."""
    if image.shape[:2] == (height, width):
        return image.copy()
    # AREA averages when shrinking (no moire); linear does not ring at edges when enlarging.
    smaller = width * height < image.shape[0] * image.shape[1]
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR),
        dtype=np.uint8,
    )


def draw_overlay(image: NDArray[np.uint8], mask: Mask, width: int, height: int) -> NDArray[np.uint8]:
    """A view with a mask on it as a spotlight.

    Args:
        image: (h, w, 3) uint8 RGB, the view.
        mask: (h, w) bool, of the same view.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        (height, width, 3) uint8 RGB: what the mask covers in its own colours, the rest dark, a line along the edge.
    """
    small = resize(image, width, height)
    cover = cv2.resize(
        np.ascontiguousarray(mask).view(np.uint8) * 255,
        (width, height),
        interpolation=cv2.INTER_AREA,
    )
    inside = cover >= 128
    if not inside.any() and mask.any():
        rows, columns = np.nonzero(mask)  # a thing of a pixel or two must not vanish from the picture
        inside[rows * height // mask.shape[0], columns * width // mask.shape[1]] = True
    drawn = np.empty_like(small)
    np.multiply(small, DIM, out=drawn, casting="unsafe")
    np.copyto(drawn, small, where=inside[:, :, None])
    contours, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, contours, -1, EDGE_COLOUR, 1)
    return drawn
