"""Parts of things in a colour of their own: the metal lid of a can, the pages of a book."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.baseline.policy.outlines import distances, solidity
from rsagent_ros.baseline.policy.patches import tones_of

_DULL = 0.1
"""Chromaticity below which a part has no colour of its own to be called by."""

_LARGEST = 0.85
_CONTACT = (0.25, 0.65)
"""Share of the part's outline that runs along the body: less is a neighbour, more lies on it."""

_WITH_LIDS = ("cylinder", "box")
_WHOLE_FIT, _WHOLE_SOLIDITY, _SOLIDITY_GAIN = 0.035, 0.93, 0.04


def owners(masks: list[Mask], pixels: NDArray[np.uint8]) -> list[int | None]:
    """For each of some masks the number of the one whose lid it is; None for a thing of its own.

    A lid is dull, smaller than the body, beside it, and makes its outline whole: the two together are more convex than
    the body alone, and look like a simple shape.
    """
    areas = [np.count_nonzero(mask) for mask in masks]
    found: list[int | None] = [None] * len(masks)
    for part, mask in enumerate(masks):
        tone = tones_of(pixels[mask][None]).mean(axis=(0, 1))
        if np.linalg.norm(tone[:2]) > _DULL:
            continue
        reach = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        rim = reach & ~mask
        for body, other in enumerate(masks):
            if body == part or areas[part] > _LARGEST * areas[body] or found[body] is not None:
                continue
            contact = np.count_nonzero(rim & other) / np.count_nonzero(rim)
            if _CONTACT[0] < contact < _CONTACT[1] and _completes(other, mask):
                found[part] = body
    return found


def _completes(body: Mask, part: Mask) -> bool:
    whole = cv2.morphologyEx((body | part).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    if solidity(whole) < max(_WHOLE_SOLIDITY, solidity(body) + _SOLIDITY_GAIN):
        return False
    shape, distance = min(distances(whole).items(), key=lambda pair: pair[1])
    return shape in _WITH_LIDS and distance < _WHOLE_FIT
