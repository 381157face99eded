"""The small world: flat coloured shapes on a grey ground, drawn in under a millisecond, asked for in a few words.

It stands in for the simulator where a policy is trained from nothing: everything but the pictures and the questions is
the same, and there is little enough to learn for two CPU cores. Things lie in the cells of a 3 x 3 grid, each the size
of one of the model's picture tokens, and not quite in their middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.scene import Scene

SIDE = 96
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 210, 40),
}
SHAPES = ("circle", "square", "triangle")
Lesson = Literal["one", "several", "mixed"]
"""`one`: a single thing. `several`: two or three, one of them meant. `mixed`: that, and some that are not there."""

GRID = 3
"""Cells a side."""

_CELL = SIDE // GRID
_ABSENT_SHARE = 0.25


@dataclass(frozen=True)
class Thing:
    """One thing of a scene: what it is, and its (H, W) pixels."""

    colour: str
    shape: str
    mask: Mask

    @property
    def words(self) -> str:
        """As it is asked for."""
        return f"{self.colour} {self.shape}"


def scenes(seed: int, count: int, lesson: Lesson) -> Iterator[Scene]:
    """Scenes number 0 to count - 1 of a seed and lesson. The same arguments give the same scenes."""
    for number in range(count):
        yield _scene(np.random.default_rng((seed, number)), f"{lesson}-{seed}-{number:06d}", lesson)


def _scene(rng: np.random.Generator, name: str, lesson: Lesson) -> Scene:
    image = np.full((SIDE, SIDE, 3), rng.integers(90, 170), dtype=np.float32)
    image += rng.normal(0, 3, image.shape)
    kinds = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    drawn = [str(kind).split() for kind in rng.choice(kinds, 4, replace=False)]
    wanted = 1 if lesson == "one" else int(rng.integers(2, 4))
    things: list[Thing] = []
    cells = rng.choice(GRID * GRID, wanted, replace=False)
    for (colour, shape), cell in zip(drawn, cells, strict=False):
        radius = int(rng.integers(10, 13))
        row, column = divmod(int(cell), GRID)
        x, y = (place * _CELL + _CELL // 2 + int(rng.integers(-3, 4)) for place in (column, row))
        mask = _drawn(shape, x, y, radius)
        tone = np.array(COLOURS[colour]) + rng.normal(0, 8, 3)
        image[mask] = tone + rng.normal(0, 3, (int(mask.sum()), 3))
        things.append(Thing(colour, shape, mask))
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    if lesson == "mixed" and rng.random() < _ABSENT_SHARE:
        words = " ".join(drawn[-1])
        return Scene(name, pixels, f"the {words}", Outcome.NOT_IN_VIEW, (), "miniature", "absent")
    meant = things[int(rng.integers(len(things)))]
    return Scene(name, pixels, f"the {meant.words}", Outcome.FOUND, (meant.mask,), "miniature", lesson)


def _drawn(shape: str, x: int, y: int, radius: int) -> NDArray[np.bool_]:
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    if shape == "circle":
        cv2.circle(canvas, (x, y), radius, 1, -1)
    elif shape == "square":
        side = round(0.85 * radius)
        cv2.rectangle(canvas, (x - side, y - side), (x + side, y + side), 1, -1)
    else:
        corners = np.array(
            [(x, y - radius), (x - radius, y + round(0.8 * radius)), (x + radius, y + round(0.8 * radius))]
        )
        cv2.fillPoly(canvas, [corners.astype(np.int32)], 1)
    return canvas.astype(np.bool_)
