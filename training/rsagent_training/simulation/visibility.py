"""Visibility of each thing in a picture: how much of it shows, where, how far away, and whether it may be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_training.simulation.camera_path import projected
from rsagent_training.simulation.catalogue import KINDS
from rsagent_training.simulation.layout import Item
from rsagent_training.simulation.world import Rendering

CLEAR_SHARE = 0.6
CLEAR_PIXELS = 150
LEGIBLE_STEEPNESS = 60.0


@dataclass(frozen=True)
class VisibleItem:
    """One thing as the picture shows it.

    Attributes:
        item: The thing.
        pixels: Visible ones; share: of the whole thing, what is cut off by the picture's border counted as hidden.
        whole: Pixels it would have with nothing before it.
        centre: (x, y) of the visible mask, as shares of the picture's width and height.
        low: Lowest visible row, as a share of the height.
        span: (left, right) of the visible mask, shares of the width.
        distance: From the camera to the middle of the thing; depth: along the optical axis to what is visible; metres.
        spot: (x, y) of its middle on the table, metres.
        steepness: How far from above the camera looks at it, degrees; 90 is straight down.
    """

    item: Item
    pixels: int
    share: float
    whole: int
    centre: tuple[float, float]
    low: float
    span: tuple[float, float]
    distance: float
    depth: float
    spot: tuple[float, float]
    steepness: float

    @property
    def name(self) -> str:
        """Name of the thing."""
        return self.item.name

    @property
    def clear(self) -> bool:
        """Whether enough of it is visible to be asked for."""
        return self.share >= CLEAR_SHARE and self.pixels >= CLEAR_PIXELS

    @property
    def legible(self) -> bool:
        """Whether its kind can be told from where the camera is."""
        return self.steepness <= LEGIBLE_STEEPNESS or not KINDS[self.item.kind].tall


def visible_items(items: Sequence[Item], frame: Rendering) -> list[VisibleItem]:
    """The things of which at least one pixel is visible."""
    return [_visible(item, frame.masks[item.name], frame) for item in items if frame.masks[item.name].any()]


def _visible(item: Item, mask: NDArray[np.bool_], frame: Rendering) -> VisibleItem:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    vertices = item.vertices
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2.0
    outline = cv2.convexHull(projected(vertices, frame.camera, frame.pose).astype(np.float32))
    border = np.array(
        [(-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5)], np.float32
    )
    inside = cv2.intersectConvexConvex(outline, border)[0] / max(cv2.contourArea(outline), 1e-6)
    away = frame.pose[:3, 3] - middle
    return VisibleItem(
        item,
        pixels=len(rows),
        share=len(rows) / max(frame.whole[item.name], 1) * min(inside, 1.0),
        whole=frame.whole[item.name],
        centre=(float(columns.mean()) / width, float(rows.mean()) / height),
        low=float(rows.max()) / height,
        span=(float(columns.min()) / width, float(columns.max()) / width),
        distance=float(np.linalg.norm(away)),
        depth=float(np.median(frame.depth[mask])),
        spot=(float(middle[0]), float(middle[1])),
        steepness=float(np.degrees(np.arctan2(away[2], np.hypot(away[0], away[1])))),
    )
