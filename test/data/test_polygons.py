"""What is wrong with a polygon."""

from __future__ import annotations

import numpy as np
import pytest

from rsagent_ros.datasets.polygons import crosses_itself, polygon


def test_crossing() -> None:
    assert crosses_itself(polygon([(0, 0), (10, 10), (10, 0), (0, 10)]))
    assert crosses_itself(polygon([(0, 0), (10, 0), (10, 10), (5, -5), (0, 10)]))


@pytest.mark.parametrize("sides", [3, 4, 7, 300])
def test_round_ones_do_not_cross(sides: int) -> None:
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    assert not crosses_itself(polygon(np.stack([np.cos(angles), np.sin(angles)], axis=1)))


def test_concave_ones_touching_and_repeated_points_do_not_cross() -> None:
    assert not crosses_itself(polygon([(0, 0), (10, 0), (10, 10), (5, 2), (0, 10)]))
    assert not crosses_itself(polygon([(0, 0), (10, 0), (10, 0), (10, 10), (0, 10), (0, 0)]))
    assert not crosses_itself(polygon([(0, 0), (5, 0), (10, 0), (10, 10), (5, 0), (0, 10)]))


@pytest.mark.parametrize(
    "points", ["abc", [(1, 2), (3, 4)], [1, 2, 3], [(0, 0), (1, 1), (float("nan"), 2)], [[(1, 2)]]]
)
def test_no_polygons(points: object) -> None:
    with pytest.raises(ValueError, match="a polygon"):
        polygon(points)
