"""Scenes of the miniature of release 0.1.0, which the committed checkpoint (`rsagent_ros/policies/miniature`) knows.

Two or three flat things of different colours and shapes on a grey ground; a quarter of the questions are about
something that is not there. Nothing is trained on them any more: `world` has what is. They go when a checkpoint of that
world takes the old one's place.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

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
GRID = 3
"""Cells a side."""

ABSENT_SHARE = 0.25

_CELL = SIDE // GRID


def scenes(seed: int, count: int) -> Iterator[Example]:
    """Scenes number 0 to count - 1 of a seed. The same arguments give the same scenes."""
    for number in range(count):
        yield _drawn(seed, number)


def _drawn(seed: int, number: int) -> Example:
    rng = np.random.default_rng((seed, number))
    image = np.full((SIDE, SIDE, 3), rng.integers(90, 170), dtype=np.float32)
    image += rng.normal(0, 3, image.shape)
    kinds = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    drawn = [str(kind) for kind in rng.choice(kinds, 4, replace=False)]
    count = int(rng.integers(2, 4))
    masks = []
    cells = rng.choice(GRID * GRID, count, replace=False)
    for kind, cell in zip(drawn, cells, strict=False):
        colour, shape = kind.split()
        radius = int(rng.integers(11, 14))
        row, column = divmod(int(cell), GRID)
        x, y = (place * _CELL + _CELL // 2 + int(rng.integers(-2, 3)) for place in (column, row))
        mask = _pixels(shape, x, y, radius)
        tone = np.array(COLOURS[colour]) + rng.normal(0, 8, 3)
        image[mask] = tone + rng.normal(0, 3, (int(mask.sum()), 3))
        masks.append(mask)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    absent = rng.random() < ABSENT_SHARE
    meant = int(rng.integers(count))
    return Example(
        f"flat-{seed}-{number:06d}", pixels, f"the {drawn[-1] if absent else drawn[meant]}",
        Outcome.NOT_IN_VIEW if absent else Outcome.FOUND, () if absent else (masks[meant],),
        source="miniature", tags=("absent" if absent else "present",),
    )  # fmt: skip


def _pixels(shape: str, x: int, y: int, radius: int) -> NDArray[np.bool_]:
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    if shape == "bar":
        cv2.rectangle(canvas, (x - radius, y - radius // 3), (x + radius, y + radius // 3), 1, -1)
    else:
        cv2.circle(canvas, (x, y), radius if shape == "disc" else radius // 2, 1, -1)
    return canvas.astype(np.bool_)
