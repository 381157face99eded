"""`ClassicalSegmenter`: from a prompt to three candidates."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.agent.segmenter import FOREGROUND, Candidate, Detection, MaskPrompt
from rsagent_ros.baseline.segmenter import cut
from rsagent_ros.baseline.segmenter.crop import Crop, EncodedImage, crop_around, encoded
from rsagent_ros.baseline.segmenter.find import detection, objects_of, prompt_for
from rsagent_ros.baseline.segmenter.score import score

_LOGITS_SIDE = 256
_LOGIT = 6.0
_REACHES = ((16, 16, 40), (10, 10, 24), (6, 6, 12), (3, 3, 6))
_TOO_MUCH = 0.4
"""Without a box, what looks like the points is the object; it grows with less reach where it would fill the image."""

_SOFTNESS = 0.8
"""Blur of a cut, pixels of the crop, before it is enlarged: keeps its edge from looking like stairs."""


class ClassicalSegmenter:
    """A `PhraseSegmenter` without weights. Deterministic; may be used by several threads at a time."""

    name = "classical"

    def encode(self, image: NDArray[np.uint8]) -> EncodedImage:
        """Prepare a (H, W, 3) uint8 RGB image; about 10 ms."""
        return encoded(np.ascontiguousarray(image))

    def masks(self, encoding: EncodedImage, prompt: MaskPrompt) -> list[Candidate]:
        """Up to three candidates for any prompt, in about 50 ms.

        The part that looks like the pixels under the points, the cut between inside and outside of the box, and all in
        the box that is unlike its surroundings.

        Background points are never inside a candidate, foreground ones always are.

        Raises:
            ToolFailed: The prompt is outside of the image, has no extent, or leaves nothing.
        """
        box = _region(encoding, prompt)
        crop = crop_around(encoding, box)
        foreground, background = _points(prompt)
        inside = cut.CropPrompt(
            crop.box(box),
            tuple(crop.pixel(point) for point in foreground if crop.shows(point)),
            tuple(crop.pixel(point) for point in background if crop.shows(point)),
            None if prompt.mask_input is None else crop.part_of(prompt.mask_input),
        )
        candidates = []
        for part in cut.candidates(crop.tones, inside):
            if part.any():
                candidates.append(_candidate(part, crop, score(part, crop.tones, inside)))
        if not candidates:
            raise ToolFailed("empty_mask", "Nothing there differs from its surroundings. Try another box or point.")
        return candidates

    def find(self, encoding: EncodedImage, phrase: str) -> list[Detection]:
        """Every instance of a noun phrase in the vocabulary of docs/baseline.md, the surest first; 0.2 s and more.

        Places and relations in the phrase count; a noun that the vocabulary does not have has no instance.
        """
        width, height = encoding.width, encoding.height
        found = []
        for item, fitting in objects_of(encoding.image, phrase):
            try:
                candidates = self.masks(encoding, prompt_for(item, width, height))
            except ToolFailed:  # what was seen is drawn then
                candidates = []
            found.append(detection(item, fitting, candidates, width, height))
        return sorted(found, key=lambda one: -one.score)


def _points(prompt: MaskPrompt) -> tuple[list[Point], list[Point]]:
    """The foreground and the background points of a prompt."""
    on_object = prompt.point_labels == FOREGROUND
    foreground, background = (
        [Point(x, y) for x, y in prompt.point_coords[chosen].tolist()] for chosen in (on_object, ~on_object)
    )
    return foreground, background


def _region(encoding: EncodedImage, prompt: MaskPrompt) -> Box:
    """The region of the object, pixels of the image: the prompt's box, or around the earlier mask or the points."""
    image = Box(0, 0, encoding.width, encoding.height)
    if prompt.box is not None:
        box = Box(*prompt.box.tolist()).intersection(image)
        if box.width < 1 or box.height < 1:
            raise ToolFailed("bad_prompt", "The box covers less than a pixel of the image. Draw a larger one.")
        return box
    foreground, _ = _points(prompt)
    held = None if prompt.mask_input is None else bounding_box(prompt.mask_input > 0)
    if prompt.mask_input is not None and held is not None:
        across, down = encoding.width / prompt.mask_input.shape[1], encoding.height / prompt.mask_input.shape[0]
        box = Box(held.x0 * across, held.y0 * down, held.x1 * across, held.y1 * down)
        for point in foreground:
            box = Box(min(box.x0, point.x), min(box.y0, point.y), max(box.x1, point.x), max(box.y1, point.y))
        return _widened(box, 0.08 * max(box.width, box.height)).intersection(image)
    scale = encoding.scale
    rows, columns = encoding.tones.shape[:2]
    points = [
        (min(int(point.x * scale), columns - 1), min(int(point.y * scale), rows - 1))
        for point in foreground
        if 0 <= point.x <= image.x1 and 0 <= point.y <= image.y1
    ]
    if not points:
        raise ToolFailed("bad_prompt", "There is no box and no positive point in the image. Say where the object is.")
    for reach in _REACHES:
        held = bounding_box(cut.grown(encoding.tones, points, reach))
        if held is not None and held.area < _TOO_MUCH * rows * columns:
            break
    grown = held or Box(points[0][0], points[0][1], points[0][0] + 1, points[0][1] + 1)
    grown = _widened(grown, 2 + 0.05 * max(grown.width, grown.height))
    return Box(grown.x0 / scale, grown.y0 / scale, grown.x1 / scale, grown.y1 / scale).intersection(image)


def _widened(box: Box, margin: float) -> Box:
    return Box(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin)


def _candidate(part: Mask, crop: Crop, quality: float) -> Candidate:
    """A mask of the crop as one of the whole image."""
    soft = cv2.GaussianBlur(part.astype(np.float32), (0, 0), _SOFTNESS)
    logits = np.asarray((soft * 2 - 1) * _LOGIT, dtype=np.float32)
    mask = crop.pasted(logits, -_LOGIT) > 0
    return Candidate(mask, quality, crop.pasted(logits, -_LOGIT, _LOGITS_SIDE))
