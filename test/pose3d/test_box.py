"""Quaternions of any rotation, and boxes of points that have hardly any extent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_ros.pose3d.box import fit_box, quaternion

numbers = st.floats(-1, 1, allow_nan=False)


@given(st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: sum(v * v for v in q) > 0.01))
def test_a_quaternion_is_that_of_its_rotation(parts: tuple[float, float, float, float]) -> None:
    x, y, z, w = np.array(parts) / np.linalg.norm(parts)
    matrix = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    found = quaternion(matrix)
    assert np.linalg.norm(found) == pytest.approx(1.0)
    assert found[3] >= 0
    assert abs(found @ [x, y, z, w]) == pytest.approx(1.0)  # q and -q are one rotation


@pytest.mark.parametrize(
    "points",
    [
        [[0.1, 0.2, 1.0]],
        [[0.1, 0.2, 1.0]] * 40,
        [[0.0, 0.0, 1.0], [0.1, 0.0, 1.0]],
        [[0.01 * i, 0.02 * i, 1.0] for i in range(30)],
    ],
    ids=["one", "equal", "two", "line"],
)
def test_points_without_extent_still_have_a_box(points: list[list[float]]) -> None:
    cloud = np.array(points, np.float32)
    box = fit_box(cloud, None)
    assert np.isfinite(box.centre).all()
    assert (box.size >= 0).all()
    assert box.axes.T @ box.axes == pytest.approx(np.eye(3), abs=1e-6)
    assert np.linalg.det(box.axes) == pytest.approx(1.0)
    assert np.linalg.norm(box.centre - cloud.mean(axis=0)) < 0.02
