"""Between the camera's pixels and the fewer ones that a track works on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask

_SOFTNESS = 0.8
"""Blur of a small mask, pixels, before it is enlarged: keeps its edge from looking like stairs."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Sizes in pixels, (height, width) both.

    Attributes:
        camera: Of the frames that come in and the masks that go out.
        work: Of what is computed on; never larger.
    """

    camera: tuple[int, int]
    work: tuple[int, int]

    @staticmethod
    def of(camera: tuple[int, int], side: int) -> Resolution:
        """The working size whose longer side has `side` pixels, or the camera's own where that is smaller."""
        scale = min(1.0, side / max(camera))
        return Resolution(camera, (max(1, round(camera[0] * scale)), max(1, round(camera[1] * scale))))

    def shrink(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A camera's (H, W, 3) frame at the working size; the frame itself where that is the same."""
        if self.camera == self.work:
            return frame
        return np.asarray(cv2.resize(frame, self.work[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def shrink_mask(self, mask: Mask) -> Mask:
        """A (H, W) mask at the working size; at least a pixel is left of it."""
        if self.camera == self.work:
            return mask.copy()
        cover = cv2.resize(mask.astype(np.float32), self.work[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(cover >= min(0.5, float(cover.max())))

    def enlarge(self, mask: Mask) -> Mask:
        """A (h, w) mask of the working size at the camera's."""
        if self.camera == self.work:
            return mask.copy()
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _SOFTNESS)
        return np.asarray(cv2.resize(soft, self.camera[::-1], interpolation=cv2.INTER_LINEAR) > 0.5)
