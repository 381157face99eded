"""Encodings of depth images become metres, and what was not measured becomes NaN."""

from __future__ import annotations

import numpy as np
import pytest

from rsagent_ros.images import depth_in_metres


def test_millimetres_with_zeros() -> None:
    array = np.array([[0, 1, 1000], [65535, 2500, 0]], np.uint16)
    for encoding in ("16UC1", "mono16"):
        metres = depth_in_metres(array, encoding)
        assert metres.dtype == np.float32
        np.testing.assert_allclose(metres, [[np.nan, 0.001, 1.0], [65.535, 2.5, np.nan]], rtol=1e-6)


def test_metres_with_everything_that_is_no_depth() -> None:
    array = np.array([[1.5, np.nan, np.inf], [-np.inf, 0.0, -0.2]], np.float32)
    metres = depth_in_metres(array, "32FC1")
    np.testing.assert_array_equal(metres, np.array([[1.5, np.nan, np.nan], [np.nan] * 3], np.float32))
    assert array[1, 1] == 0.0  # a copy, whatever the encoding


@pytest.mark.parametrize(
    ("array", "encoding", "told"),
    [
        (np.zeros((2, 2), np.uint8), "mono8", "encoding 'mono8' is not known"),
        (np.zeros((2, 2), np.float32), "16UC1", "uint16"),
        (np.zeros((2, 2), np.uint16), "32FC1", "float32"),
        (np.zeros((2, 2, 1), np.uint16), "16UC1", r"\(2, 2, 1\)"),
    ],
)
def test_what_is_no_depth_image(array: np.ndarray, encoding: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        depth_in_metres(array, encoding)
