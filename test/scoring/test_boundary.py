"""Boundary F against its definition, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from evaluation_cases import SIZE, box

from rsagent_ros.agent.mask import Mask
from rsagent_ros.scoring.boundary import boundary_f


def by_definition(answer: Mask, right: Mask, tolerance: float) -> float:
    """As DAVIS words it, with every pair of pixels."""

    def boundary(mask: Mask) -> list[tuple[int, int]]:
        height, width = mask.shape
        return [
            (y, x)
            for y in range(height)
            for x in range(width)
            if any(
                y + dy < height and x + dx < width and mask[y, x] != mask[y + dy, x + dx]
                for dy, dx in ((0, 1), (1, 0), (1, 1))
            )
        ]

    ours, theirs = boundary(answer), boundary(right)
    if not ours or not theirs:
        return float(not ours and not theirs)
    radius = math.ceil(tolerance * math.hypot(*right.shape))

    def matched(these: list[tuple[int, int]], those: list[tuple[int, int]]) -> float:
        return sum(any(math.dist(a, b) <= radius for b in those) for a in these) / len(these)

    precision, recall = matched(ours, theirs), matched(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("tolerance", [0.008, 0.03])
@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (box(10, 10, 30, 30), box(12, 10, 33, 29)),
        (box(0, 0, 80, 60), box(0, 0, 40, 60)),
        (box(5, 5, 6, 6), box(70, 50, 80, 60)),
        (box(10, 10, 30, 30) | box(50, 40, 55, 58), box(10, 10, 30, 30)),
    ],
)
def test_agrees_with_the_definition(answer: Mask, right: Mask, tolerance: float) -> None:
    assert boundary_f(answer, right, tolerance=tolerance) == pytest.approx(by_definition(answer, right, tolerance))


def test_agrees_with_the_definition_on_noise() -> None:
    random = np.random.default_rng(1)
    answer, right = (random.random((24, 32)) < 0.02 for _ in range(2))
    f = boundary_f(answer, right)
    assert 0 < f < 1
    assert f == pytest.approx(by_definition(answer, right, 0.008))


def test_extremes() -> None:
    empty = np.zeros(SIZE, np.bool_)
    assert boundary_f(box(10, 10, 20, 20), box(10, 10, 20, 20)) == 1
    assert boundary_f(empty, box(10, 10, 20, 20)) == 0
    assert boundary_f(empty, empty) == 1
    assert boundary_f(box(0, 0, 10, 10), box(60, 40, 70, 50)) == 0


def test_the_boundary_along_ignored_pixels_does_not_count() -> None:
    right, answer = box(10, 10, 40, 30), box(10, 10, 70, 30)  # wrong only to the right of x = 40
    assert boundary_f(answer, right) < 0.9
    assert boundary_f(answer, right, box(38, 0, 80, 60)) == 1
