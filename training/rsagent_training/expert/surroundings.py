"""Salient things in view, seen as the reference policy sees them: without any truth.

The expert knows where the target is. What the target looks like, and what else could be taken for it, it has to see
like everybody else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, area, bounding_box, fit
from rsagent_ros.baseline.policy.colours import COLOURS
from rsagent_ros.baseline.policy.objects import detect

_SIDE = 640
"""Pixels of the longer side of the picture that is looked at; larger ones take much longer and show no more things."""

_LEAST, _MOST = 0.0005, 0.25
"""Shares of the frame between which something is a thing to talk about."""


@dataclass(frozen=True, eq=False)
class Other:
    """A thing in view that is not wanted.

    Attributes:
        box: Around it, full-frame pixels.
        mask: (H, W) bool.
        colour: Name of its colour; empty where none fits.
    """

    box: Box
    mask: Mask
    colour: str

    @property
    def words(self) -> str:
        """The thing as a sentence names it."""
        return f"the {self.colour} thing" if self.colour else "another thing"


@dataclass(frozen=True)
class Surroundings:
    """Things in view, and the colours of the targets.

    Attributes:
        others: Things that are none of those that are wanted, larger ones first.
        colours: Of each thing that is wanted, its colour; empty where it was not made out.
    """

    others: tuple[Other, ...]
    colours: tuple[str, ...]


def look_around(image: NDArray[np.uint8], truths: tuple[Mask, ...]) -> Surroundings:
    """Look at a (H, W, 3) uint8 RGB image in which these (H, W) masks are wanted; about 0.3 s."""
    height, width = image.shape[:2]
    small = fit(image, _SIDE) if max(height, width) > _SIDE else image
    others = []
    colours = [""] * len(truths)
    for thing in detect(small):
        mask = np.asarray(
            cv2.resize(thing.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.bool_
        )
        box, covered = bounding_box(mask), area(mask)
        if box is None:
            continue
        shared = [area(mask & truth) for truth in truths]
        for number, (part, truth) in enumerate(zip(shared, truths, strict=True)):
            if part > 0.6 * max(covered, area(truth)):
                colours[number] = thing.colour
        if _LEAST <= covered / mask.size <= _MOST and max(shared, default=0) < 0.1 * covered:
            others.append(Other(box, mask, thing.colour))
    return Surroundings(tuple(others), tuple(colours))


def likely_first(others: Sequence[Other], instruction: str) -> list[Other]:
    """Objects, first those whose colour the instruction names: it could be taken to mean them."""
    named = _named(instruction)
    return sorted(others, key=lambda other: (other.colour not in named, -area(other.mask)))


def could_be_meant(others: Sequence[Other], instruction: str) -> list[Other]:
    """Objects that might be taken for what is wanted: of a colour that the instruction names, where it names one."""
    named = _named(instruction)
    return [other for other in others if not named or other.colour in named]


def _named(instruction: str) -> set[str]:
    """Colours that an instruction names."""
    return set(re.findall(r"[a-z]+", instruction.lower())) & set(COLOURS)
