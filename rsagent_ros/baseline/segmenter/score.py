"""The segmenter's own estimate of a candidate's overlap with the object, without knowing the truth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.baseline.segmenter.cut import CropPrompt

_CLEAR_STEP = 16.0
"""Difference in tone across the outline, grey levels, from which on it is surely an edge."""


def score(mask: Mask, tones: NDArray[np.uint8], prompt: CropPrompt) -> float:
    """0..1 for a mask that is not empty.

    Three parts: tones differ across the outline, the mask fills the box, its outline is not ragged.
    """
    return float(np.clip(0.97 * _on_edges(mask, tones) ** 0.5 * _fill(mask, prompt) ** 0.5 * _smooth(mask), 0.0, 1.0))


def _on_edges(mask: Mask, tones: NDArray[np.uint8]) -> float:
    """Mean of how sure an edge each outline pixel is on; 1 for an outline that runs along the crop's border only."""
    inside = mask.astype(np.uint8)
    shape = np.ones((3, 3), np.uint8)
    rim = mask & (cv2.erode(inside, shape, borderType=cv2.BORDER_REPLICATE) == 0)
    if not rim.any():
        return 1.0
    near = cv2.dilate(inside, shape, iterations=2) > 0
    # The mean tone just inside and just outside, around each pixel of the rim.
    values = tones.astype(np.float32)
    means = []
    for side in (mask, near & ~mask):
        weight = side.astype(np.float32)
        total = cv2.blur(values * weight[..., None], (5, 5))
        means.append(total / np.maximum(cv2.blur(weight, (5, 5)), 1e-3)[..., None])
    step = np.linalg.norm(means[0] - means[1], axis=2)[rim]
    return float(np.minimum(1.0, step / _CLEAR_STEP).mean())


def _fill(mask: Mask, prompt: CropPrompt) -> float:
    """Overlap of the mask's own box with the prompt's."""
    own = bounding_box(mask)
    if own is None:
        return 0.0
    x0, y0, x1, y1 = prompt.box
    across = min(own.x1, x1) - max(own.x0, x0)
    down = min(own.y1, y1) - max(own.y0, y0)
    shared = max(0.0, across) * max(0.0, down)
    return shared / max(1.0, own.area + (x1 - x0) * (y1 - y0) - shared)


def _smooth(mask: Mask) -> float:
    """1 for outlines no longer than a banana's, less for ragged ones."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(contour, True) for contour in contours)
    roundness = 4 * np.pi * np.count_nonzero(mask) / max(length**2, 1.0)
    return float(np.clip(0.8 + roundness, 0.0, 1.0))
