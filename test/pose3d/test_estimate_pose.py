"""Where things are: exact for exact depth, robust to what depth cameras do, and honest where too little is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.pose3d import NoPose, Pose3d, Pose3dConfig, estimate_pose
from rsagent_ros.pose3d.surface import Depth

CAMERA = PinholeCamera(320, 240, 300.0, 300.0, 159.5, 119.5)
SIZE = np.array([0.16, 0.10, 0.06])
TILT = np.radians(50.0)
"""The camera looks down at the table by this much."""


def table_and_box(yaw: float = 0.4, away: float = 0.9) -> tuple[Mask, Depth, NDArray[np.float64], NDArray[np.float64]]:
    """Mask and depth of a box on a table by ray casting, its centre, and its axes as columns, in the optical frame."""
    up = np.array([0.0, -np.cos(TILT), -np.sin(TILT)])
    right = np.array([1.0, 0.0, 0.0])
    forward = np.cross(right, up) * -1
    x = np.cos(yaw) * right + np.sin(yaw) * forward
    axes = np.stack([x, np.cross(up, x), up], axis=1)
    foot = np.array([0.02, 0.01, away])
    centre = foot + up * SIZE[2] / 2
    rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width]
    rays = np.stack([(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(rows.shape)], axis=-1)
    table = (up @ foot) / (rays @ up)
    local, origin = rays @ axes, -centre @ axes
    with np.errstate(divide="ignore", invalid="ignore"):
        slabs = np.stack([(side * SIZE / 2 - origin) / local for side in (-1, 1)])
    near, far = slabs.min(axis=0).max(axis=-1), slabs.max(axis=0).min(axis=-1)
    hit = (near < far) & (near > 0)
    depth = np.where(hit, near, np.where(table > 0, table, np.nan)).astype(np.float32)
    return hit, depth, centre, axes


def found(mask: Mask, depth: Depth, **named: object) -> Pose3d:
    pose = estimate_pose(mask, depth, CAMERA, **named)  # type: ignore[arg-type]
    assert isinstance(pose, Pose3d), pose
    return pose


def rotation(q: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix of a quaternion x, y, z, w, by rotating the axes with it."""
    vector, w = q[:3], q[3]
    return np.stack([axis + 2 * np.cross(vector, np.cross(vector, axis) + w * axis) for axis in np.eye(3)], axis=1)


def surface_of(mask: Mask, depth: Depth) -> NDArray[np.float64]:
    rows, columns = np.nonzero(mask)
    z = depth[rows, columns].astype(np.float64)
    return np.stack([(columns - CAMERA.cx) / CAMERA.fx * z, (rows - CAMERA.cy) / CAMERA.fy * z, z], axis=1).mean(axis=0)


@pytest.mark.parametrize("yaw", [0.0, 0.4, 1.2, -0.9])
def test_a_box_on_a_table_is_found_with_its_pose_and_size(yaw: float) -> None:
    mask, depth, centre, axes = table_and_box(yaw)
    pose = found(mask, depth)
    assert pose.on_support
    assert pose.coverage == 1.0
    assert np.linalg.norm(pose.position - centre) < 0.006
    assert np.linalg.norm(pose.surface - surface_of(mask, depth)) < 0.006
    assert pose.size == pytest.approx(SIZE, abs=0.01)
    turned = rotation(pose.orientation)
    assert np.linalg.norm(pose.orientation) == pytest.approx(1.0)
    assert turned[:, 2] @ axes[:, 2] > 0.999  # its z is up, away from the table
    assert abs(turned[:, 0] @ axes[:, 0]) > 0.99  # its x the longer side, either way round
    assert np.linalg.det(turned) == pytest.approx(1.0)
    assert pose.orientation[3] >= 0
    # The corners of the box that was found are those of the box, in the frame x right, y down, z forward.
    assert pose.position[2] > 0.8


def test_points_and_colours_are_of_the_thing() -> None:
    mask, depth, centre, _ = table_and_box()
    image = np.zeros((240, 320, 3), np.uint8)
    image[mask] = (200, 10, 20)
    pose = found(mask, depth, image=image)
    assert pose.points.dtype == np.float32
    assert pose.points.shape[1] == 3
    assert pose.colours is not None
    assert pose.colours.shape == pose.points.shape
    assert (pose.colours == (200, 10, 20)).all()
    assert np.linalg.norm(pose.points - centre, axis=1).max() < 0.12
    assert found(mask, depth).colours is None
    few = found(mask, depth, config=Pose3dConfig(max_points=100))
    assert 30 < len(few.points) <= 110
    assert np.linalg.norm(few.position - pose.position) < 0.01


def test_noise_holes_and_torn_edges_move_it_less_than_a_centimetre() -> None:
    mask, depth, centre, _ = table_and_box()
    rng = np.random.default_rng(3)
    noisy = depth + rng.normal(0, 0.0015, depth.shape).astype(np.float32) * depth**2
    edges = cv2.morphologyEx(depth, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0.02
    noisy[edges] = cv2.blur(noisy, (5, 5))[edges]
    noisy[cv2.resize(rng.random((30, 40)), (320, 240)) > 0.75] = np.nan
    noisy[::17] = 0.0
    noisy[5::31] = np.inf
    pose = found(mask, noisy.astype(np.float32))
    assert np.linalg.norm(pose.position - centre) < 0.01
    assert np.linalg.norm(pose.surface - surface_of(mask, depth)) < max(0.01, 2 * pose.std)
    assert 0.3 < pose.coverage < 0.9


def test_a_mask_that_bleeds_onto_the_background_does_not_drag_it_away() -> None:
    mask, depth, centre, _ = table_and_box()
    far = depth.copy()
    far[~mask] += 1.0
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    pose = found(wide, far)
    assert np.linalg.norm(pose.surface - surface_of(mask, depth)) < 0.01
    on_table = found(wide, depth)
    assert np.linalg.norm(on_table.position - centre) < 0.012
    assert on_table.size == pytest.approx(SIZE, abs=0.02)


def test_something_in_front_of_part_of_it_is_left_out() -> None:
    mask, depth, _, _ = table_and_box()
    columns = np.flatnonzero(mask.any(axis=0))
    middle = int(columns.mean())
    bar = depth.copy()
    bar[:, middle - 4 : middle + 4] = 0.4
    pose = found(mask, bar)
    assert abs(pose.surface[2] - surface_of(mask, depth)[2]) < 0.02
    assert pose.points[:, 2].min() > 0.7


def test_without_a_table_it_is_the_box_of_the_visible_surface() -> None:
    mask, depth, _, _ = table_and_box()
    alone = np.where(mask, depth, np.float32(np.nan)).astype(np.float32)
    pose = found(mask, alone)
    assert not pose.on_support
    assert np.linalg.norm(pose.surface - surface_of(mask, depth)) < 0.006
    assert 0.12 < pose.size.max() < 0.2


def test_a_sheet_of_paper_is_as_flat_as_the_table_and_still_found() -> None:
    _, depth, _, _ = table_and_box()
    rows, columns = np.mgrid[:240, :320]
    mask = (np.abs(rows - 60) < 20) & (np.abs(columns - 80) < 30)
    pose = found(mask, depth)
    assert pose.on_support
    assert pose.size[2] < 0.01
    assert np.linalg.norm(pose.surface - surface_of(mask, depth)) < 0.01


def test_uncertainty_says_when_less_is_known() -> None:
    mask, depth, _, _ = table_and_box()
    sparse = depth.copy()
    sparse[np.random.default_rng(0).random(depth.shape) > 0.3] = np.nan
    known, less = found(mask, depth), found(mask, sparse)
    assert 0.001 < known.std < 0.01
    assert less.std > 2 * known.std


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf, -1.0])
def test_no_depth_is_no_place_with_a_reason(value: float) -> None:
    mask, depth, _, _ = table_and_box()
    depth[mask] = value
    pose = estimate_pose(mask, depth, CAMERA)
    assert isinstance(pose, NoPose)
    assert pose.coverage == 0.0
    assert pose.reason == "0% of the mask has depth; at least 10% is needed"


def test_too_few_pixels_are_no_place() -> None:
    _, depth, _, _ = table_and_box()
    tiny = np.zeros(depth.shape, np.bool_)
    tiny[100:103, 100:103] = True
    pose = estimate_pose(tiny, depth, CAMERA)
    assert isinstance(pose, NoPose)
    assert "9 pixels show its surface; at least 25 are needed" in pose.reason
    assert estimate_pose(~np.ones_like(tiny), depth, CAMERA) == NoPose("the mask is empty", 0.0)


def test_at_the_border_of_the_picture() -> None:
    mask, depth, _, _ = table_and_box()
    columns = np.flatnonzero(mask.any(axis=0))
    middle = int(columns.mean())
    shifted = PinholeCamera(320 - middle, 240, CAMERA.fx, CAMERA.fy, CAMERA.cx - middle, CAMERA.cy)
    pose = estimate_pose(mask[:, middle:], depth[:, middle:], shifted)
    assert isinstance(pose, Pose3d)
    whole = surface_of(np.where(np.arange(320) >= middle, mask, False), depth)
    assert np.linalg.norm(pose.surface - whole) < 0.012


def test_what_does_not_fit_together_is_an_error_that_says_so() -> None:
    mask, depth, _, _ = table_and_box()
    with pytest.raises(ValueError, match=r"the depth is \(120, 160\).*aligned with the colour image"):
        estimate_pose(mask, depth[::2, ::2], CAMERA)
    with pytest.raises(ValueError, match="the image is"):
        estimate_pose(mask, depth, CAMERA, np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ValueError, match="bool and float32 metres"):
        estimate_pose(mask, depth.astype(np.float64), CAMERA)
    with pytest.raises(ValueError, match="not calibrated"):
        estimate_pose(mask, depth, PinholeCamera(320, 240, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="not calibrated"):
        estimate_pose(mask, depth, PinholeCamera(320, 240, 300.0, 300.0, np.nan, 119.5))
    with pytest.raises(ValueError, match="min_pixels is 0"):
        Pose3dConfig(min_pixels=0)


def test_inputs_stay_as_they_are_and_the_same_inputs_give_the_same_place() -> None:
    mask, depth, _, _ = table_and_box()
    depth[10:20] = 0.0
    before = mask.copy(), depth.copy()
    first, again = found(mask, depth), found(mask, depth)
    assert np.array_equal(mask, before[0])
    assert np.array_equal(depth, before[1], equal_nan=True)
    assert np.array_equal(first.position, again.position)
    assert np.array_equal(first.orientation, again.orientation)
