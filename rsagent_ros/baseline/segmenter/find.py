"""From words to instances without weights: the reference policy's eyes and vocabulary, behind the segmenter's seam.

A noun that the vocabulary does not have names nothing: zero instances, as an open-vocabulary detector would say of a
word that fits nothing in view.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.mask import Mask, bounding_box, fit, iou
from rsagent_ros.agent.segmenter import Candidate, Detection, MaskPrompt
from rsagent_ros.baseline.policy.grounding import fit as fit_of
from rsagent_ros.baseline.policy.grounding import ground
from rsagent_ros.baseline.policy.language import Phrase, understood
from rsagent_ros.baseline.policy.objects import SceneObject, detect
from rsagent_ros.baseline.policy.overlay import innermost

_LEAST_SIDE, _MOST_SIDE = 384, 768
"""Longest side, pixels, at which objects are looked for: as pictures in the chat have it."""

_MARGIN = 0.04
"""Margin of the prompt's box, relative to the object's longer side."""

_SAME = 0.5
"""IoU from which on a mask that was drawn shows the object that was seen."""


def objects_of(image: NDArray[np.uint8], phrase: str) -> list[tuple[SceneObject, float]]:
    """The objects in a (H, W, 3) uint8 RGB image that fit a noun phrase, and how well, 0..1; about 0.2 s.

    Masks are in pixels of the image, scaled to a longer side of 384 to 768.
    """
    phrases = [replace(one, every=True, number=0) for one in understood(phrase)]
    if not all(one.clear for one in phrases):
        return []
    objects = detect(fit(image, min(_MOST_SIDE, max(_LEAST_SIDE, *image.shape[:2]))))
    found: dict[int, tuple[SceneObject, float]] = {}
    for one in phrases:
        for item in ground(one, objects).targets:
            found[id(item)] = item, fit_of(Phrase(one.noun, one.colours), item)
    return list(found.values())


def prompt_for(item: SceneObject, width: int, height: int) -> MaskPrompt:
    """The prompt that should draw an object, in pixels of the image of this size."""
    x, y = width / item.mask.shape[1], height / item.mask.shape[0]
    margin = max(1.0, _MARGIN * max(item.box.width, item.box.height))
    middle = innermost(item.mask)
    box = Box(
        max(0.0, item.box.x0 - margin) * x,
        max(0.0, item.box.y0 - margin) * y,
        min(float(width), (item.box.x1 + margin) * x),
        min(float(height), (item.box.y1 + margin) * y),
    )
    return MaskPrompt.of(box, (Point(middle.x * x, middle.y * y),))


def detection(item: SceneObject, fitting: float, candidates: list[Candidate], width: int, height: int) -> Detection:
    """An object as a detection in an image of this size: the candidate that shows it best, else what was seen of it."""
    seen = cv2.resize(item.mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    shown = seen if seen.any() else _of_a_pixel(item, width, height)
    agreement, mask = max(((iou(one.mask, shown), one.mask) for one in candidates), default=(0.0, shown), key=_first)
    if agreement < _SAME:
        agreement, mask = _SAME, shown
    box = bounding_box(mask) or Box(0, 0, width, height)
    part = mask[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
    return Detection(box, part, fitting * agreement)


def _first(pair: tuple[float, Mask]) -> float:
    return pair[0]


def _of_a_pixel(item: SceneObject, width: int, height: int) -> Mask:
    middle = innermost(item.mask)
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[int(middle.y * height / item.mask.shape[0]), int(middle.x * width / item.mask.shape[1])] = True
    return mask
