"""The mask of an object: drawn once, carried by transforms, and the region of the picture around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.tracker.motion import IDENTITY, Matrix

_Scalar = TypeVar("_Scalar", bound=np.generic)

_MARGIN = 0.6
"""Margin of a region around the mask, relative to its longer side."""


@dataclass(frozen=True, eq=False)
class CarriedMask:
    """A mask and how far it has been carried. The mask is warped once, not step by step: that would wear its edge.

    Attributes:
        template: (h, w) bool, where it was drawn.
        carried: (3, 3) from pixels of that frame to those of the newest.
    """

    template: Mask
    carried: Matrix

    @staticmethod
    def drawn(mask: Mask) -> CarriedMask:
        """A mask that was drawn on the newest frame."""
        return CarriedMask(mask, IDENTITY)

    def moved(self, matrix: Matrix) -> CarriedMask:
        """Carried on by one step."""
        return replace(self, carried=matrix @ self.carried)

    @property
    def whole_area(self) -> float:
        """Pixels that it covers, inside the picture's borders and beyond them."""
        return int(np.count_nonzero(self.template)) * abs(float(np.linalg.det(self.carried[:2, :2])))

    def placed(self) -> Mask:
        """(h, w) bool: its place on the newest frame."""
        size = self.template.shape[1], self.template.shape[0]
        soft = self.template.astype(np.float32)
        return np.asarray(cv2.warpAffine(soft, self.carried[:2], size, flags=cv2.INTER_LINEAR) > 0.5)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a picture: its rows and columns."""

    rows: slice
    columns: slice

    @staticmethod
    def around(mask: Mask, margin: float = _MARGIN) -> Region:
        """The region around a (h, w) mask that is not empty."""
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        reach = 12 + round(margin * max(width, height))
        return Region(
            slice(max(0, y - reach), min(mask.shape[0], y + height + reach)),
            slice(max(0, x - reach), min(mask.shape[1], x + width + reach)),
        )

    def cut(self, whole: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The part of a (h, w, ...) array, without a copy."""
        return whole[self.rows, self.columns]

    def pasted(self, part: Mask, size: tuple[int, int]) -> Mask:
        """A mask of the region as one of the whole picture of `size` (height, width)."""
        whole = np.zeros(size, np.bool_)
        whole[self.rows, self.columns] = part
        return whole


def touches_border(mask: Mask) -> bool:
    """Whether a mask reaches the border of its picture: the object may be cut off there."""
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask at another size (height, width), by its nearest pixels."""
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0)
