"""Pictures inside a page: JPEG in data URLs, each with its size in pixels."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.annotation import Annotation, annotate
from rsagent_ros.agent.mask import Mask, bounding_box, draw_overlay, fit, fitted

JPEG_QUALITY = 88

CLOSE_UP = 0.4
"""Share of the frame's sides that a close-up shows at least."""


@dataclass(frozen=True)
class PageImage:
    """A picture in the page, and how large it is in its own pixels."""

    url: str
    width: int
    height: int


def encoded(pixels: NDArray[np.uint8]) -> PageImage:
    """An (h, w, 3) uint8 RGB picture in its own size.

    Raises:
        ValueError: It can't be encoded.
    """
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"an image of {pixels.shape} {pixels.dtype} can't be encoded as JPEG")
    url = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    return PageImage(url, pixels.shape[1], pixels.shape[0])


def reduced(pixels: NDArray[np.uint8], side: int) -> PageImage:
    """The picture with a longest side of at most `side` pixels."""
    return encoded(fit(pixels, min(side, max(pixels.shape[:2]))))


def annotated(frame: NDArray[np.uint8], annotations: Sequence[Annotation], side: int) -> PageImage:
    """The (H, W, 3) frame with annotations as people draw them; a longest side of at most `side` pixels."""
    height, width = frame.shape[:2]
    return encoded(annotate(frame, annotations, *fitted(width, height, min(side, max(height, width)))))


def close_up(frame: NDArray[np.uint8], annotations: Sequence[Annotation], side: int) -> PageImage:
    """The surroundings of what is annotated, without labels: it is to be seen, however small it is in the frame."""
    height, width = frame.shape[:2]
    box = bounding_box(np.logical_or.reduce([one.mask for one in annotations]))
    if box is None:
        return reduced(frame, side)
    share = min(1.0, max(CLOSE_UP, 1.6 * box.width / width, 1.6 * box.height / height))
    across, down = round(share * width), round(share * height)
    x = min(max(0, round(box.center.x - across / 2)), width - across)
    y = min(max(0, round(box.center.y - down / 2)), height - down)
    part = np.s_[y : y + down, x : x + across]
    return annotated(frame[part], [Annotation(one.mask[part]) for one in annotations], side)


def spotlight(frame: NDArray[np.uint8], mask: Mask, side: int) -> PageImage:
    """The (H, W, 3) frame around its (H, W) mask as models are shown it; a longest side of at most `side` pixels."""
    height, width = frame.shape[:2]
    return encoded(draw_overlay(frame, mask, *fitted(width, height, min(side, max(height, width)))))
