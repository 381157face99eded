"""Messages as values: what a camera_info says."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.records.message_fields import camera_of


def test_of_a_lens_that_distorts_the_rectified_images_matrix_counts() -> None:
    raw: dict[str, Any] = {
        "k": [600.0, 0, 320, 0, 610, 240, 0, 0, 1],
        "p": [545.0, 0, 318, 0, 0, 570, 236, 0, 0, 0, 1, 0],
    }
    straight = camera_of(SimpleNamespace(width=640, height=480, d=[0.0] * 5, **raw))
    bent = camera_of(SimpleNamespace(width=640, height=480, d=[-0.3, 0.1, 0, 0, 0], **raw))
    unknown = camera_of(SimpleNamespace(width=640, height=480, d=[-0.3], **(raw | {"p": [0.0] * 12})))
    assert straight == unknown == PinholeCamera(640, 480, 600.0, 610.0, 320.0, 240.0)
    assert bent == PinholeCamera(640, 480, 545.0, 570.0, 318.0, 236.0)


K = [100.0, 0, 80, 0, 110, 60, 0, 0, 1]
P = [90.0, 0, 79, 0, 0, 95, 59, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 2, 4, 5])
def test_a_calibration_that_is_not_of_finite_numbers_is_none(place: int, number: float) -> None:
    k = [*K[:place], number, *K[place + 1 :]]
    assert camera_of(SimpleNamespace(width=160, height=120, d=[0.0] * 5, k=k, p=[0.0] * 12)) is None
    # The rectified image has a matrix of its own.
    assert camera_of(SimpleNamespace(width=160, height=120, d=[0.1], k=k, p=P)) == PinholeCamera(
        160, 120, 90, 95, 79, 59
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 2, 5, 6])
def test_a_rectified_camera_that_nobody_knows_is_not_the_raw_one(place: int, number: float) -> None:
    p = [*P[:place], number, *P[place + 1 :]]
    assert camera_of(SimpleNamespace(width=160, height=120, d=[0.1], k=K, p=p)) is None
    assert camera_of(SimpleNamespace(width=160, height=120, d=[math.nan], k=K, p=p)) is None
    assert camera_of(SimpleNamespace(width=160, height=120, d=[], k=K, p=p)) == PinholeCamera(
        160, 120, 100, 110, 80, 60
    )


def test_a_camera_without_pixels_or_focal_lengths_is_not_calibrated() -> None:
    for changed in ({"width": 0}, {"height": 0}, {"k": [0.0] * 9}, {"k": [-1.0] * 9}):
        fields = {"width": 160, "height": 120, "d": [], "k": K, "p": [0.0] * 12} | changed
        assert camera_of(SimpleNamespace(**fields)) is None
