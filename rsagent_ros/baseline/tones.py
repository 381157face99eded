"""Tones: colours in which light and shade hardly matter.

Two coordinates of chromaticity, which stay the same from the lit to the shaded side of an object, and the logarithm of
brightness, which does not and is used sparingly.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

DARK = 25.0
"""Added to R + G + B: pulls the chromaticity of nearly black pixels, which is mostly noise, to neutral."""

FULL = 765 + DARK
"""The brightest sum there is; its log brightness is 0."""


def tones_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 3) float32 tones of (h, w, 3) uint8 RGB: red to green, yellow to blue (each -0.8..0.8), log brightness."""
    red, green, blue = cv2.split(pixels.astype(np.float32))
    total = red + green + blue + DARK
    return np.dstack(
        [
            (red - green) * np.float32(0.7071) / total,
            (red + green - 2 * blue) * np.float32(0.4082) / total,
            cv2.log(total / FULL),
        ]
    )
