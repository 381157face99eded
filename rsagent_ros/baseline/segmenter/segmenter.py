"""`ClassicalSegmenter`: from a prompt to three candidates."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.baseline.segmenter import cut
from rsagent_ros.baseline.segmenter.score import score
from rsagent_ros.baseline.segmenter.window import Encoded, Window, encoded, window_around

_LOGITS_SIDE = 256
_LOGIT = 6.0
_REACHES = ((16, 16, 40), (10, 10, 24), (6, 6, 12), (3, 3, 6))
_TOO_MUCH = 0.4
"""Without a box, what looks like the points is the thing; it grows with less reach where it would fill the image."""

_SOFTNESS = 0.8
"""Blur of a cut, pixels of the window, before it is enlarged: keeps its edge from looking like stairs."""


class ClassicalSegmenter:
    """A `Segmenter` without weights. Deterministic; may be used by several threads at a time."""

    name = "classical"

    def encode(self, image: NDArray[np.uint8]) -> Encoded:
        """Prepare a (H, W, 3) uint8 RGB image; about 10 ms."""
        return encoded(np.ascontiguousarray(image))

    def masks(self, encoding: Encoded, prompt: MaskPrompt) -> list[Candidate]:
        """Three candidates, in about 50 ms.

        The part that looks like what the points are on, the cut between inside and outside of the box, and all in
        the box that is unlike what is around it.

        Negative points are never inside a candidate, positive ones always are.

        Raises:
            ToolFailed: The prompt is outside of the image, has no extent, or leaves nothing.
        """
        box = _region(encoding, prompt)
        window = window_around(encoding, box)
        seeds = cut.Seeds(
            window.box(box),
            tuple(window.point(point) for point in prompt.positive if window.shows(point)),
            tuple(window.point(point) for point in prompt.negative if window.shows(point)),
            None if prompt.prior is None else window.part_of(prompt.prior),
        )
        candidates = []
        for part in cut.candidates(window.tones, seeds):
            if part.any():
                candidates.append(_candidate(part, window, score(part, window.tones, seeds)))
        if not candidates:
            raise ToolFailed("empty_mask", "Nothing there differs from what is around it. Try another box or point.")
        return candidates


def _region(encoding: Encoded, prompt: MaskPrompt) -> Box:
    """Where to look, pixels of the image: the prompt's box, or what the points or the earlier mask lie on."""
    image = Box(0, 0, encoding.width, encoding.height)
    if prompt.box is not None:
        box = prompt.box.intersection(image)
        if box.width < 1 or box.height < 1:
            raise ToolFailed("bad_prompt", "The box covers less than a pixel of the image. Draw a larger one.")
        return box
    if prompt.prior is not None:
        held = bounding_box(prompt.prior > 0)
        if held is not None:
            across, down = encoding.width / prompt.prior.shape[1], encoding.height / prompt.prior.shape[0]
            box = Box(held.x0 * across, held.y0 * down, held.x1 * across, held.y1 * down)
            for point in prompt.positive:
                box = Box(min(box.x0, point.x), min(box.y0, point.y), max(box.x1, point.x), max(box.y1, point.y))
            margin = 0.08 * max(box.width, box.height)
            return Box(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin).intersection(image)
    scale = encoding.scale
    rows, columns = encoding.tones.shape[:2]
    points = [
        (min(int(point.x * scale), columns - 1), min(int(point.y * scale), rows - 1))
        for point in prompt.positive
        if 0 <= point.x <= image.x1 and 0 <= point.y <= image.y1
    ]
    if not points:
        raise ToolFailed("bad_prompt", "There is no box and no positive point in the image. Say where the thing is.")
    for reach in _REACHES:
        held = bounding_box(cut.grown(encoding.tones, points, reach))
        if held is not None and held.area < _TOO_MUCH * rows * columns:
            break
    grown = held or Box(points[0][0], points[0][1], points[0][0] + 1, points[0][1] + 1)
    margin = 2 + 0.05 * max(grown.width, grown.height)
    return Box(
        (grown.x0 - margin) / scale,
        (grown.y0 - margin) / scale,
        (grown.x1 + margin) / scale,
        (grown.y1 + margin) / scale,
    ).intersection(image)


def _candidate(part: Mask, window: Window, quality: float) -> Candidate:
    """A mask of the window as one of the whole image."""
    soft = cv2.GaussianBlur(part.astype(np.float32), (0, 0), _SOFTNESS)
    logits = np.asarray((soft * 2 - 1) * _LOGIT, dtype=np.float32)
    mask = window.pasted(logits, -_LOGIT) > 0
    return Candidate(mask, quality, window.pasted(logits, -_LOGIT, _LOGITS_SIDE))
