"""Where a patch of a picture went."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rsagent_ros.baseline.tracker.motion import dense_motion, is_plausible, shift_to, sparse_motion


def textured(seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).integers(0, 255, (60, 80), np.uint8)
    return np.asarray(cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def patch() -> NDArray[np.bool_]:
    mask = np.zeros((240, 320), np.bool_)
    mask[80:160, 100:220] = True
    return mask


def warped(picture: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(cv2.warpAffine(picture, matrix[:2], (320, 240), borderMode=cv2.BORDER_REFLECT), np.uint8)


@pytest.mark.parametrize("shear", [0.0, 0.06])
def test_turn_scale_shift_and_shear_are_found(shear: float) -> None:
    matrix = np.vstack([cv2.getRotationMatrix2D((160, 120), 4.0, 1.05), [0, 0, 1]])
    matrix[0, 1] += shear
    matrix[:2, 2] += [3.0, -2.0]
    found = sparse_motion(textured(), warped(textured(), matrix), patch())
    assert found is not None
    corners = np.array([[100, 80, 1], [220, 80, 1], [220, 160, 1], [100, 160, 1]], float).T
    assert np.abs((found.matrix - matrix) @ corners).max() < 0.5
    assert found.support > 0.8


def test_without_corners_or_without_a_common_motion_there_is_none() -> None:
    flat = np.full((240, 320), 128, np.uint8)
    assert sparse_motion(flat, flat, patch()) is None
    assert sparse_motion(textured(), textured(1), patch()) is None
    assert sparse_motion(textured(), textured(), ~np.ones_like(patch())) is None


def test_dense_flow_of_a_patch_is_its_shift() -> None:
    matrix = np.array([[1, 0, 3.0], [0, 1, 2.0], [0, 0, 1]])
    found = dense_motion(textured(), warped(textured(), matrix), patch())
    assert found is not None
    assert found.matrix[:2, 2] == pytest.approx([3.0, 2.0], abs=0.5)
    assert dense_motion(textured(), textured(), ~np.ones_like(patch())) is None


@pytest.mark.parametrize(
    ("matrix", "plausible"),
    [
        (np.eye(3), True),
        (np.diag([2.0, 2.0, 1.0]), False),
        (np.diag([1.0, 0.3, 1.0]), False),
        (np.array([[1.0, 1.5, 0], [0, 1, 0], [0, 0, 1]]), False),
        (np.full((3, 3), np.inf), False),
    ],
)
def test_no_camera_moves_like_that(matrix: NDArray[np.float64], plausible: bool) -> None:
    assert is_plausible(matrix) is plausible


def test_a_shape_is_shifted_onto_what_looks_like_it() -> None:
    body, own = patch(), np.roll(patch(), (5, -7), axis=(0, 1))
    found = shift_to(own, body, 10)
    assert found is not None
    assert found[:2, 2] == pytest.approx([-7, 5])
    assert shift_to(own, body, 3) is None  # farther than it may look
    assert shift_to(body, body, 10) is None  # nothing is better than where it is
    assert shift_to(~np.ones_like(body), body, 10) is None
    whole = np.ones_like(body)
    assert shift_to(whole, whole, 3) is None
