"""The search world: things that look alike from afar, so that finding one takes turns, and habits tell where to begin.

Things of one colour and size lie in the cells of a 3 x 3 grid, each the size of one of the model's picture tokens, and
not quite in their middle. From the whole picture a policy of this size can hardly tell what they are; the overlay of
one alone shows it. Each kind has a habit: nine times in ten the one that is asked for lies in the column of its kind.
A teacher that looks around at random can't teach that, but whoever is rewarded for finding things soon can learn it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example

SIDE = 96
"""Pixels a side of every scene."""

GRID = 3
"""Cells a side."""

KINDS = ("disc", "cross", "triangle")
"""Kinds of things; the habit of each is the column of its number."""

_COLOURS = ((220, 40, 40), (40, 180, 60), (50, 80, 230), (235, 210, 40))
_CELL = SIDE // GRID


@dataclass(frozen=True)
class Figure:
    """One thing of a scene: what it is, its cell from 0 on in reading order, and its (H, W) pixels."""

    kind: str
    cell: int
    mask: Mask


@dataclass(frozen=True)
class SearchWorld:
    """A world to draw scenes of.

    Attributes:
        things: In each scene, 1 to 9; at most one of them is what is asked for.
        habit: Chance that it lies where its habit is; else it lies in any column.
        absent: Share of scenes without it.
    """

    things: int = 5
    habit: float = 0.9
    absent: float = 0.2

    def __post_init__(self) -> None:
        if not 1 <= self.things <= GRID * GRID:
            raise ValueError(f"world: things is {self.things}; it must be 1 to {GRID * GRID}")
        if not (0 <= self.habit <= 1 and 0 <= self.absent <= 1):
            raise ValueError(f"world: habit is {self.habit}, absent {self.absent}; both are shares, 0 to 1")

    def scenes(self, seed: int, count: int) -> Iterator[Example]:
        """Scenes number 0 to count - 1 of a seed. The same arguments give the same scenes."""
        for number in range(count):
            yield self._drawn(seed, number)[0]

    def figures(self, scene: Example) -> tuple[Figure, ...]:
        """The things of one of these scenes, in reading order; its id is enough to draw it again."""
        _, seed, number = scene.id.split("-")
        return self._drawn(int(seed), int(number))[1]

    def _drawn(self, seed: int, number: int) -> tuple[Example, tuple[Figure, ...]]:
        rng = np.random.default_rng((seed, number))
        image = np.full((SIDE, SIDE, 3), rng.integers(90, 170), dtype=np.float32)
        image += rng.normal(0, 3, image.shape)
        asked = int(rng.integers(len(KINDS)))
        column = asked if rng.random() < self.habit else int(rng.integers(GRID))
        first = int(rng.integers(GRID)) * GRID + column
        rest = [cell for cell in range(GRID * GRID) if cell != first]
        cells = [first, *map(int, rng.permutation(rest)[: self.things - 1])]
        others = [kind for kind in range(len(KINDS)) if kind != asked]
        kinds = [others[int(place)] for place in rng.integers(len(others), size=self.things)]
        absent = bool(rng.random() < self.absent)
        if not absent:
            kinds[0] = asked
        tone = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))])
        figures = []
        for kind, cell in zip(kinds, cells, strict=True):
            row, across = divmod(cell, GRID)
            x, y = (place * _CELL + _CELL // 2 + int(rng.integers(-2, 3)) for place in (across, row))
            mask = _pixels(KINDS[kind], x, y, int(rng.integers(11, 14)))
            image[mask] = tone + rng.normal(0, 8, 3) + rng.normal(0, 3, (int(mask.sum()), 3))
            figures.append(Figure(KINDS[kind], cell, mask))
        scene = Example(
            f"search-{seed}-{number:06d}", np.clip(image, 0, 255).astype(np.uint8), f"the {KINDS[asked]}",
            Outcome.NOT_IN_VIEW if absent else Outcome.FOUND, () if absent else (figures[0].mask,),
            source="miniature", tags=("absent" if absent else "present",),
        )  # fmt: skip
        return scene, tuple(sorted(figures, key=lambda figure: figure.cell))


def _pixels(kind: str, x: int, y: int, radius: int) -> NDArray[np.bool_]:
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    if kind == "disc":
        cv2.circle(canvas, (x, y), radius, 1, -1)
    elif kind == "cross":
        half = radius // 3 + 1
        cv2.rectangle(canvas, (x - radius, y - half), (x + radius, y + half), 1, -1)
        cv2.rectangle(canvas, (x - half, y - radius), (x + half, y + radius), 1, -1)
    else:
        corners = np.array([[x, y - radius], [x - radius, y + radius], [x + radius, y + radius]])
        cv2.fillPoly(canvas, [corners], 1)
    return canvas.astype(np.bool_)
