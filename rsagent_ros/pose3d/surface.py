"""Pixels of a mask that show the object's own surface: without mixed edge pixels and without what is behind it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.data.camera import PinholeCamera

Depth = NDArray[np.float32]
"""(H, W) metres along the optical axis."""

Points = NDArray[np.float32]
"""(N, 3) metres, optical frame."""

_EDGE = 0.03
"""Erosion of the mask, relative to the square root of its area: cameras smear depth across edges."""

_MOST_EDGE = 4
_KEPT = 0.5
"""Smallest share of the mask that erosion must leave; thin objects keep their edges."""

_TORN = 0.025
"""Step in depth between neighbours, relative to the depth, above which both are dropped: a pixel on an edge averages
foreground and background and lies on no surface. A surface at 75 degrees steps less."""

_BIN = 0.006
_QUIET = 0.05
_GAP = 3
"""A gap in the histogram of depths is more than _GAP - 1 bins, each _BIN of the depth wide, with less than _QUIET of
the mean bin in them: 1.2 cm at a metre. The far rim of a bowl belongs to the bowl."""


def own_pixels(mask: Mask, depth: Depth) -> Mask:
    """(h, w) bool: the pixels of a mask with known depth that belongs to the object.

    Args:
        mask: (h, w) bool.
        depth: (h, w) float32 metres, NaN where unknown.
    """
    known = np.isfinite(depth)
    inner = _eroded(mask)
    filled = np.where(known, depth, np.float32(0.0))
    square = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(filled, square)
    lowest = cv2.erode(np.where(known, depth, np.float32(1e6)), square)
    torn = highest - lowest > _TORN * filled
    own = inner & known & ~torn
    if np.count_nonzero(own) < 0.2 * np.count_nonzero(inner & known):
        # Thin or noisy all over: steps do not tell edges from surfaces, so the main layer has to do.
        own = inner & known
    return own & _main_layer(depth, own)


def to_points(
    own: Mask, depth: Depth, camera: PinholeCamera, corner: tuple[int, int], most: int
) -> tuple[Points, Mask]:
    """Deproject the pixels of a window: (N, 3) float32 points in the optical frame, metres, and (h, w) bool of them.

    Args:
        own: (h, w) bool.
        depth: (h, w) float32 metres, known wherever `own` is true.
        camera: Pinhole; pixel centres are at whole numbers.
        corner: (x, y) of the window in the camera's picture, pixels.
        most: Points at most; a coarser pixel grid is used where there are more.
    """
    stride = max(1, int(np.ceil(np.sqrt(np.count_nonzero(own) / most))))
    taken = np.zeros_like(own)
    taken[::stride, ::stride] = own[::stride, ::stride]
    rows, columns = np.nonzero(taken)
    z = depth[rows, columns].astype(np.float64)
    x = (columns + corner[0] - camera.cx) / camera.fx * z
    y = (rows + corner[1] - camera.cy) / camera.fy * z
    return np.stack([x, y, z], axis=1).astype(np.float32), taken


def _eroded(mask: Mask) -> Mask:
    """(h, w) bool: the mask without its edge; at least _KEPT of it is left."""
    pixels = np.count_nonzero(mask)
    # A mask that touches the window's border touches the image's: the object goes on there, it has no edge.
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    for reach in range(min(_MOST_EDGE, max(1, round(_EDGE * float(np.sqrt(pixels))))), 0, -1):
        kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        inner = cv2.erode(padded, kernel, borderType=cv2.BORDER_REPLICATE)[1:-1, 1:-1] > 0
        if np.count_nonzero(inner) >= _KEPT * pixels:
            return np.asarray(inner)
    return mask


def _main_layer(depth: Depth, own: Mask) -> Mask:
    """(h, w) bool: depths within the fullest run of histogram bins without a gap."""
    values = depth[own]
    if values.size == 0:
        return own
    width = _BIN * float(np.median(values))
    low = float(values.min())
    bins = ((values - low) / width).astype(np.int64)
    # The farthest pixels may be a wall at the other end of the room: limit the number of bins.
    counts = np.bincount(np.minimum(bins, 9_999)).astype(np.float64)
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    loud = (smooth > _QUIET * values.size / len(np.flatnonzero(counts))).astype(np.float64)
    busy = np.convolve(loud, np.ones(_GAP), mode="same") > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], busy.astype(np.int8), [0]])))
    runs = [(counts[start:end].sum(), start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    if not runs:
        return own
    _, start, end = max(runs)
    # NaN compares as false.
    return np.asarray((depth >= low + start * width) & (depth < low + end * width))
