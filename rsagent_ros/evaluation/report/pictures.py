"""Prediction and truth on the frame, for a person: what was hit, what was missed, what was wrong."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, fit
from rsagent_ros.data.example import Example

SIDE = 560
"""Longest side in pixels."""

HIT, MISSED, WRONG = (40, 200, 110), (60, 130, 255), (255, 70, 60)
"""RGB of truth that was covered, truth that was not, and cover that is not truth."""

_JPEG_QUALITY = 82


def draw(example: Example, answer: Mask | None, side: int = SIDE) -> str:
    """A data URL: the darkened frame with the three areas in colour and the outlines of both masks."""
    truth = np.zeros(example.shape, np.bool_) if example.target is None else example.target
    given = np.zeros_like(truth) if answer is None else answer
    small = fit(example.image, min(side, max(example.image.shape[:2])))
    size = (small.shape[1], small.shape[0])
    truth, given = _shrunk(truth, size), _shrunk(given, size)
    canvas = (small * 0.6).astype(np.float32)
    for area, colour in ((truth & given, HIT), (truth & ~given, MISSED), (given & ~truth, WRONG)):
        canvas[area] = 0.55 * canvas[area] + 0.45 * np.array(colour, np.float32)
    drawn = np.ascontiguousarray(canvas.astype(np.uint8))
    _outline(drawn, truth, (255, 255, 255))
    _outline(drawn, given, (255, 0, 255))
    return data_url(drawn)


def data_url(pixels: NDArray[np.uint8]) -> str:
    """A (h, w, 3) uint8 RGB picture as JPEG in a URL."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"a picture of {pixels.shape} {pixels.dtype} can't be encoded as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _shrunk(mask: Mask, size: tuple[int, int]) -> Mask:
    cover = cv2.resize(np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    return np.asarray(cover >= 128)


def _outline(canvas: NDArray[np.uint8], mask: Mask, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, 1, cv2.LINE_AA)
