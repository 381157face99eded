"""A mask beside the truth: what is missing, what is too much, and where."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.mask import Mask, area, bounding_box, iou


@dataclass(frozen=True, eq=False)
class FaultRegion:
    """The largest connected part of a fault.

    Attributes:
        share: Of the whole fault in the thing (missing) or in the mask (extra), 0..1.
        spot: Deep inside its largest part, full-frame pixels.
        box: Around its largest part, full-frame pixels.
    """

    share: float
    spot: Point
    box: Box


@dataclass(frozen=True, eq=False)
class MaskDifference:
    """Difference between a mask and the truth.

    Attributes:
        iou: 0..1.
        missing: The largest part of the thing that it leaves out; None for nothing.
        extra: The largest part that it covers beside the thing; None for nothing.
    """

    iou: float
    missing: FaultRegion | None
    extra: FaultRegion | None


def compare(mask: Mask, truth: Mask) -> MaskDifference:
    """Compare two (H, W) masks, neither of them empty."""
    return MaskDifference(iou(mask, truth), _region(truth & ~mask, area(truth)), _region(mask & ~truth, area(mask)))


def inside(mask: Mask) -> Point:
    """The pixel centre that is deepest inside a (H, W) mask that is not empty."""
    # The rim of zeros makes the border of the frame count as an edge.
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return Point(float(x) + 0.5, float(y) + 0.5)


def side(spot: Point, around: Box) -> str:
    """Side of a box on which a spot lies, in a word that anybody looking at the picture would use."""
    across = (spot.x - around.center.x) / max(1.0, around.width)
    down = (spot.y - around.center.y) / max(1.0, around.height)
    if max(abs(across), abs(down)) < 0.15:
        return "middle"
    if abs(across) >= abs(down):
        return "left" if across < 0 else "right"
    return "top" if down < 0 else "bottom"


def _region(fault: Mask, of: int) -> FaultRegion | None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(fault.astype(np.uint8), connectivity=4)
    if count < 2:
        return None
    largest = np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))
    box = bounding_box(largest)
    if box is None:
        return None
    return FaultRegion(area(fault) / of, inside(largest), box)
