"""Polygons of annotations: what is wrong with one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 20_000
_CHECKED_POINTS = 2_000


def polygon(points: object) -> NDArray[np.float64]:
    """(n, 2) x, y in pixels of a list of pairs, three or more.

    Raises:
        ValueError: It is something else.
    """
    try:
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("a polygon is a list of [x, y] pairs of numbers") from error
    if array.ndim != 2 or array.shape[1:] != (2,) or not 3 <= len(array) <= MAX_POINTS:
        raise ValueError(f"a polygon has {array.shape}; it must be 3 to {MAX_POINTS} pairs [x, y]")
    if not (np.isfinite(array).all() and (np.abs(array) < 1e6).all()):
        raise ValueError("a polygon has coordinates that are not finite, or beyond a million")
    return array


def crosses_itself(points: NDArray[np.float64]) -> bool:
    """Whether two edges of a closed (n, 2) polygon properly cross. Edges that only touch do not count.

    Polygons of more than 2000 points are not searched: it takes time and memory by the square of their number.
    """
    if len(points) > _CHECKED_POINTS:
        return False
    a, b = points, np.roll(points, -1, axis=0)
    side_a = _side(a[:, None], b[:, None], a[None])  # [i, j]: on which side of edge i edge j begins
    side_b = _side(a[:, None], b[:, None], b[None])
    apart = side_a * side_b < 0
    return bool((apart & apart.T).any())


def _side(a: NDArray[np.float64], b: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    along, to = b - a, p - a
    return np.asarray(np.sign(along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]))
