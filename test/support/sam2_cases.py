"""A picture and prompts over it, for all tests of the SAM networks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box, Point

BOX = Box(40.0, 30.0, 121.5, 100.25)
POINT = Point(80.5, 60.25)
POSITIVE = (POINT, Point(60.0, 90.0))
NEGATIVE = (Point(5.0, 5.0),)


def picture(height: int = 150, width: int = 260) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB: noise with a red and a blue thing; neither square nor the size of any frame."""
    pixels = np.random.default_rng(7).integers(90, 160, (height, width, 3), dtype=np.uint8)
    cv2.rectangle(pixels, (40, 30), (120, 100), (220, 30, 20), -1)
    cv2.circle(pixels, (200, 90), 35, (20, 40, 230), -1)
    return pixels
