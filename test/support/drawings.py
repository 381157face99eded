"""Drawn pictures with exact masks: shapes of random colours on plain, shaded and noisy grounds."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

GROUNDS = ("plain", "gradient", "noise")


@dataclass(frozen=True)
class Drawn:
    """One shape that was drawn."""

    shape: str
    colour: str
    mask: NDArray[np.bool_]


PALETTE: dict[str, Colour] = {
    "red": (205, 35, 40),
    "green": (40, 150, 60),
    "blue": (35, 70, 200),
    "yellow": (240, 210, 40),
    "orange": (245, 130, 20),
    "purple": (120, 40, 160),
}


def ground(kind: str, rng: np.random.Generator, size: tuple[int, int] = (320, 240)) -> NDArray[np.uint8]:
    """A background without things, (h, w, 3) RGB."""
    width, height = size
    base = np.full((height, width, 3), rng.integers(165, 215), np.float64)
    if kind == "gradient":
        base += np.linspace(-35, 35, width)[None, :, None]
    if kind == "noise":
        base += rng.normal(0, 7, (height, width, 1))
    return np.clip(base, 0, 255).astype(np.uint8)


def draw(canvas: NDArray[np.uint8], shape: str, colour: str, centre: tuple[int, int], radius: int) -> Drawn:
    """Draw a shape in place; its colour differs a little from the palette's each time."""
    mask = np.zeros(canvas.shape[:2], np.uint8)
    x, y = centre
    if shape == "circle":
        cv2.circle(mask, centre, radius, 1, -1)
    elif shape == "square":
        cv2.rectangle(mask, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
    else:
        corners = np.array([[x, y - radius], [x - radius, y + radius], [x + radius, y + radius]], np.int32)
        cv2.fillPoly(mask, [corners], 1)
    shift = np.random.default_rng(x * 1000 + y).integers(-12, 13, 3)
    canvas[mask > 0] = np.clip(np.array(PALETTE[colour]) + shift, 0, 255)
    return Drawn(shape, colour, mask > 0)


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> tuple[NDArray[np.uint8], list[Drawn]]:
    """Four different shapes and colours, one in each quarter of the picture."""
    rng = np.random.default_rng(seed)
    canvas = ground(GROUNDS[seed % len(GROUNDS)], rng, size)
    width, height = size
    colours = rng.permutation(sorted(PALETTE))[:4]
    drawn = []
    for number, colour in enumerate(colours):
        x = width // 4 + (number % 2) * width // 2 + int(rng.integers(-width // 20, width // 20))
        y = height // 4 + (number // 2) * height // 2 + int(rng.integers(-height // 20, height // 20))
        radius = int(rng.uniform(0.09, 0.15) * height)
        drawn.append(draw(canvas, ("circle", "square", "triangle")[int(rng.integers(3))], str(colour), (x, y), radius))
    return canvas, drawn
