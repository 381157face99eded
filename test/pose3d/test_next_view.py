"""Where to look next: drawn tables, the truth of which is known, and a chain of views that comes back to nothing."""

from __future__ import annotations

import numpy as np
import pytest
from tabletop import CAMERA, EYE, Table, seen

from rsagent_ros.pose3d.next_view import NextView, next_view


@pytest.mark.parametrize(
    ("table", "side"),
    [((-3.0, 0.2, 0.4, 1.0), "left"), ((-0.2, 3.0, 0.4, 1.0), "right"), ((-0.3, 0.3, 0.4, 4.0), "up")],
)
def test_past_the_edge_where_the_table_goes_on(table: Table, side: str) -> None:
    view = next_view(seen(table), CAMERA)
    assert view is not None
    assert view.hidden_by is None
    x, y, z = view.direction
    assert {"left": -x, "right": x, "up": -y}[side] > 0.3
    assert np.hypot(np.hypot(x, y), z) == pytest.approx(1.0)
    assert view.camera_height == pytest.approx(EYE, rel=0.05)


def test_a_table_that_is_all_in_sight_gives_no_view() -> None:
    assert next_view(seen((-0.2, 0.2, 0.5, 0.9)), CAMERA) is None
    assert next_view(np.full((120, 160), np.nan, np.float32), CAMERA) is None


def test_behind_what_hides_most() -> None:
    view = next_view(seen((-0.35, 0.35, 0.4, 1.25), box=(-0.15, 0.15, 0.55, 0.65), tall=0.3), CAMERA)
    assert view is not None
    assert view.hidden_by is not None
    assert abs(np.nonzero(view.hidden_by)[1].mean() - CAMERA.cx) < 8
    assert view.hidden_by.shape == (120, 160)
    u, v = view.direction[:2] / view.direction[2] * CAMERA.fx + (CAMERA.cx, CAMERA.cy)
    assert view.hidden_by[round(v), round(u)]


def test_a_chain_of_views_looks_at_nothing_twice_and_comes_back_to_what_was_left_aside() -> None:
    """A long narrow table: to one side until it ends, then to the other side of where it began."""
    table = (-0.9, 0.9, 0.45, 0.9)
    yaw, after = 0.0, None
    looked: list[float] = []
    for _ in range(4):
        view: NextView | None = next_view(seen(table, yaw), CAMERA, after)
        if view is None:
            break
        yaw += view.pan_tilt.pan
        looked.append(yaw)
        after = view
    assert min(looked) < -0.4
    assert max(looked) > 0.4
    gaps = np.abs(np.subtract.outer([0.0, *looked], [0.0, *looked]))[np.triu_indices(len(looked) + 1, 1)]
    assert gaps.min() > 0.3
