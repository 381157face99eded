"""The small world: flat coloured shapes on a grey ground, drawn in under a millisecond, asked for in a few words.

It stands in for the simulator where a policy is trained from nothing: everything but the pictures and the questions is
the same, and there is little enough to learn for two CPU cores. Things lie in the cells of a 3 x 3 grid, each the size
of one of the model's picture tokens, and not quite in their middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example

SIDE = 96
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 210, 40),
}
SHAPES = ("disc", "bar", "dot")
Lesson = Literal["one", "several", "mixed"]
"""`one`: a single thing, or it is not the one that was asked for. `several`: two or three, one of them meant. `mixed`:
that, and some that are not there."""

GRID = 3
"""Cells a side."""

_CELL = SIDE // GRID
_ABSENT_SHARE: dict[Lesson, float] = {"one": 0.5, "several": 0.0, "mixed": 0.25}
"""Share of absent targets. Where nearly all that is asked for is there, a lone thing need not be looked at: the words
tell what it is."""


@dataclass(frozen=True)
class Figure:
    """One thing of a scene: what it is, its cell from 0 on in reading order, and its (H, W) pixels."""

    colour: str
    shape: str
    cell: int
    mask: Mask

    @property
    def words(self) -> str:
        """The words of an instruction that asks for it."""
        return f"{self.colour} {self.shape}"


def scenes(seed: int, count: int, lesson: Lesson) -> Iterator[Example]:
    """Scenes number 0 to count - 1 of a seed and lesson. The same arguments give the same scenes."""
    for number in range(count):
        yield _drawn(seed, number, lesson)[0]


def figures_of(scene: Example) -> list[Figure]:
    """The figures of one of these scenes, in reading order; its name is enough to draw it again."""
    kind, seed, number = scene.id.split("-")
    (lesson,) = (one for one in get_args(Lesson) if one == kind)
    return _drawn(int(seed), int(number), lesson)[1]


def _drawn(seed: int, number: int, lesson: Lesson) -> tuple[Example, list[Figure]]:
    rng = np.random.default_rng((seed, number))
    image = np.full((SIDE, SIDE, 3), rng.integers(90, 170), dtype=np.float32)
    image += rng.normal(0, 3, image.shape)
    kinds = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    drawn = [str(kind).split() for kind in rng.choice(kinds, 4, replace=False)]
    wanted = 1 if lesson == "one" else int(rng.integers(2, 4))
    things: list[Figure] = []
    cells = rng.choice(GRID * GRID, wanted, replace=False)
    for (colour, shape), cell in zip(drawn, cells, strict=False):
        radius = int(rng.integers(11, 14))
        row, column = divmod(int(cell), GRID)
        x, y = (place * _CELL + _CELL // 2 + int(rng.integers(-2, 3)) for place in (column, row))
        mask = _pixels(shape, x, y, radius)
        tone = np.array(COLOURS[colour]) + rng.normal(0, 8, 3)
        image[mask] = tone + rng.normal(0, 3, (int(mask.sum()), 3))
        things.append(Figure(colour, shape, int(cell), mask))
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    absent = rng.random() < _ABSENT_SHARE[lesson]
    meant = things[int(rng.integers(len(things)))]
    words = " ".join(drawn[-1]) if absent else meant.words
    scene = Example(
        f"{lesson}-{seed}-{number:06d}", pixels, f"the {words}", Outcome.NOT_IN_VIEW if absent else Outcome.FOUND,
        () if absent else (meant.mask,), source="miniature", tags=("absent" if absent else lesson,),
    )  # fmt: skip
    return scene, sorted(things, key=lambda thing: thing.cell)


def _pixels(shape: str, x: int, y: int, radius: int) -> NDArray[np.bool_]:
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    if shape == "bar":
        cv2.rectangle(canvas, (x - radius, y - radius // 3), (x + radius, y + radius // 3), 1, -1)
    else:
        cv2.circle(canvas, (x, y), radius if shape == "disc" else radius // 2, 1, -1)
    return canvas.astype(np.bool_)
