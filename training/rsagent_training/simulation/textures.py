"""Pictures for surfaces, painted in code: patterns of things, and what tables, walls and floors are made of.

All return (N, N, 3) uint8 RGB and are a function of their arguments and of the state of `rng` alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Texture = NDArray[np.uint8]
Tone = Sequence[float]


def _mix(first: Tone, second: Tone, share: NDArray[np.float64]) -> Texture:
    """Two tones (RGB 0..1) mixed: `share` (N, N) is how much of the second there is, 0..1."""
    a, b = np.asarray(first), np.asarray(second)
    mixed = a + (b - a) * np.clip(share, 0.0, 1.0)[:, :, None]
    return np.round(np.clip(mixed, 0.0, 1.0) * 255.0).astype(np.uint8)


def _coordinates(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[0:size, 0:size] / size
    return x, y


def _noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> NDArray[np.float64]:
    """Smooth noise in -1..1 that repeats at the border; `cells` are its (rows, columns) of random values."""
    values = rng.uniform(-1.0, 1.0, cells)
    wrapped = np.pad(values, 2, mode="wrap")
    scale_y, scale_x = size // cells[0], size // cells[1]
    large = cv2.resize(wrapped, None, fx=scale_x, fy=scale_y, interpolation=cv2.INTER_CUBIC)
    return np.asarray(large[2 * scale_y : 2 * scale_y + size, 2 * scale_x : 2 * scale_x + size])


def pattern(name: str, first: Tone, second: Tone, rng: np.random.Generator, size: int = 256) -> Texture:
    """The pattern of a thing in its two tones: "stripes", "checker" or "speckle" ("plain" needs no picture).

    Raises:
        ValueError: There is no such pattern.
    """
    x, y = _coordinates(size)
    if name == "stripes":
        count = int(rng.integers(4, 9))
        across = (x, y)[int(rng.integers(2))]
        return _mix(first, second, (np.floor(across * 2 * count) % 2 == 1).astype(np.float64))
    if name == "checker":
        count = int(rng.integers(3, 6)) * 2
        return _mix(first, second, (np.floor(x * count) + np.floor(y * count)) % 2)
    if name == "speckle":
        return _mix(first, second, (_noise(rng, size, (64, 64)) > 0.45).astype(np.float64))
    raise ValueError(f"there is no pattern {name!r}: use stripes, checker or speckle")


def wood(first: Tone, second: Tone, rng: np.random.Generator, size: int = 512, planks: int = 5) -> Texture:
    """Planks with grain along x and dark joints."""
    _, y = _coordinates(size)
    plank = np.floor(y * planks)
    shift = rng.uniform(0.0, 1.0, planks)[plank.astype(int)]
    wave = _noise(rng, size, (8, 2)) * 0.35 + _noise(rng, size, (32, 4)) * 0.1
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (y * planks * 2.2 + shift * 7 + wave))
    fibre = _noise(rng, size, (256, 8))
    share = 0.15 + 0.4 * rings**3 + 0.12 * fibre + 0.3 * (shift - 0.5)
    edge = y * planks - plank
    joint = (edge < 0.012) | (edge > 0.988)
    return _mix(first, second, np.where(joint, 1.0, share))


def stone(first: Tone, second: Tone, rng: np.random.Generator, size: int = 512) -> Texture:
    """Mottled stone or plaster: clouds and fine grain."""
    clouds = _noise(rng, size, (4, 4)) * 0.5 + _noise(rng, size, (16, 16)) * 0.3 + _noise(rng, size, (128, 128)) * 0.25
    return _mix(first, second, 0.4 + 0.5 * clouds)


def cloth(first: Tone, second: Tone, rng: np.random.Generator, size: int = 512) -> Texture:
    """A plain weave with a little unevenness."""
    x, y = _coordinates(size)
    weave = 0.25 * (np.sin(2 * np.pi * 64 * x) + np.sin(2 * np.pi * 64 * y))
    return _mix(first, second, 0.4 + weave + 0.25 * _noise(rng, size, (16, 16)))


def gingham(first: Tone, second: Tone, rng: np.random.Generator, size: int = 512) -> Texture:
    """A checked table cloth of crossing bands."""
    x, y = _coordinates(size)
    bands = 0.5 * (np.floor(x * 16) % 2) + 0.5 * (np.floor(y * 16) % 2)
    return _mix(first, second, bands + 0.05 * _noise(rng, size, (128, 128)))


def tiles(first: Tone, second: Tone, rng: np.random.Generator, size: int = 512, count: int = 4) -> Texture:
    """Square tiles, each of its own tone, with joints."""
    x, y = _coordinates(size)
    column, row = np.floor(x * count).astype(int), np.floor(y * count).astype(int)
    own = rng.uniform(0.0, 0.35, (count, count))[row, column]
    edge = np.minimum.reduce([x * count - column, y * count - row, column + 1 - x * count, row + 1 - y * count])
    return _mix(first, second, np.where(edge < 0.02, 1.0, own + 0.05 * _noise(rng, size, (64, 64))))
