"""Geometry: the maps are exact both ways, zooms stay in the frame, crops and pastes undo each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_ros.agent.geometry import EXTENT, MIN_VIEW_SIDE, Box, Point, View

WHOLE_BOX = Box(0, 0, EXTENT, EXTENT)
coordinates = st.integers(0, EXTENT) | st.floats(0, EXTENT)
points = st.builds(Point, coordinates, coordinates)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """A box in 0..1000 that `parse` would let through: not reversed, not empty."""
    x0, x1 = sorted(draw(st.lists(coordinates, min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(draw(st.lists(coordinates, min_size=2, max_size=2, unique=True)))
    return Box(x0, y0, x1, y1)


@st.composite
def views(draw: st.DrawFn) -> View:
    """A whole frame or up to four zooms deep into it."""
    view = View.whole(draw(st.integers(1, 5000)), draw(st.integers(1, 5000)))
    for box in draw(st.lists(boxes(), max_size=4)):
        view = view.zoom(box)
    return view


@given(views(), points)
def test_there_and_back_is_the_same_point(view: View, point: Point) -> None:
    back = view.to_view(view.to_frame(point))
    # Frame pixels up to 5000 as floats, in views of at least one pixel: the error stays far below a thousandth.
    assert back.x == pytest.approx(point.x, abs=1e-6)
    assert back.y == pytest.approx(point.y, abs=1e-6)


@given(views(), st.integers(0, EXTENT), st.integers(0, EXTENT))
def test_whole_coordinates_survive_exactly_when_rounded(view: View, x: int, y: int) -> None:
    back = view.to_view(view.to_frame(Point(x, y)))
    assert (round(back.x), round(back.y)) == (x, y)


@given(views())
def test_corners_map_exactly_both_ways(view: View) -> None:
    assert view.box_to_frame(WHOLE_BOX) == Box(*view.key)
    assert view.box_to_view(Box(*view.key)) == WHOLE_BOX
    assert view.box_to_crop(WHOLE_BOX) == Box(0, 0, view.width, view.height)


@given(views(), points)
def test_crop_pixels_are_frame_pixels_less_the_corner(view: View, point: Point) -> None:
    crop, frame = view.to_crop(point), view.to_frame(point)
    assert frame.x == view.x0 + crop.x
    assert frame.y == view.y0 + crop.y


@given(views(), boxes())
def test_boxes_map_as_their_corners_do(view: View, box: Box) -> None:
    a, b = view.to_frame(Point(box.x0, box.y0)), view.to_frame(Point(box.x1, box.y1))
    assert view.box_to_frame(box) == Box(a.x, a.y, b.x, b.y)
    a, b = view.to_crop(Point(box.x0, box.y0)), view.to_crop(Point(box.x1, box.y1))
    assert view.box_to_crop(box) == Box(a.x, a.y, b.x, b.y)


@given(views(), boxes())
def test_zoom_holds_the_box_and_never_leaves_the_frame(view: View, box: Box) -> None:
    zoomed = view.zoom(box)
    wanted = view.box_to_frame(box)
    assert 0 <= zoomed.x0 < zoomed.x1 <= view.frame_width
    assert 0 <= zoomed.y0 < zoomed.y1 <= view.frame_height
    tolerance = 1e-5
    assert zoomed.x0 <= wanted.x0 + tolerance
    assert zoomed.x1 >= wanted.x1 - tolerance
    assert zoomed.y0 <= wanted.y0 + tolerance
    assert zoomed.y1 >= wanted.y1 - tolerance


@given(views(), boxes())
def test_zoom_is_tight_but_for_the_least_side(view: View, box: Box) -> None:
    zoomed = view.zoom(box)
    wanted = view.box_to_frame(box)
    for side, low, high, wanted_low, wanted_high, limit in (
        (zoomed.width, zoomed.x0, zoomed.x1, wanted.x0, wanted.x1, view.frame_width),
        (zoomed.height, zoomed.y0, zoomed.y1, wanted.y0, wanted.y1, view.frame_height),
    ):
        assert side >= min(MIN_VIEW_SIDE, limit)
        if side > min(MIN_VIEW_SIDE, limit):
            assert wanted_low - low < 1
            assert high - wanted_high < 1


@given(views())
def test_zoom_on_own_edges_is_the_same_crop(view: View) -> None:
    zoomed = view.zoom(WHOLE_BOX)
    assert zoomed.key == view.key
    assert zoomed.parent is view


@given(views(), st.data())
def test_any_crop_can_be_asked_for_by_its_own_edges(view: View, data: st.DataObject) -> None:
    side_x, side_y = min(MIN_VIEW_SIDE, view.frame_width), min(MIN_VIEW_SIDE, view.frame_height)
    x0 = data.draw(st.integers(0, view.frame_width - side_x))
    y0 = data.draw(st.integers(0, view.frame_height - side_y))
    x1 = data.draw(st.integers(x0 + side_x, view.frame_width))
    y1 = data.draw(st.integers(y0 + side_y, view.frame_height))
    whole = view.root
    assert whole.zoom(whole.box_to_view(Box(x0, y0, x1, y1))).key == (x0, y0, x1, y1)


def test_stack_of_zooms_stands_on_the_whole_frame() -> None:
    whole = View.whole(640, 480)
    once = whole.zoom(Box(500, 500, 1000, 1000))
    twice = once.zoom(Box(0, 0, 500, 500))
    assert once.key == (320, 240, 640, 480)
    assert twice.key == (320, 240, 480, 360)
    assert (twice.parent, once.parent, whole.parent) == (once, whole, None)
    assert twice.root is whole


def test_tiny_box_in_a_corner_is_widened_inwards() -> None:
    view = View.whole(640, 480).zoom(Box(999, 999, 1000, 1000))
    assert view.key == (640 - MIN_VIEW_SIDE, 480 - MIN_VIEW_SIDE, 640, 480)


def test_tiny_box_is_widened_on_both_sides() -> None:
    view = View.whole(1000, 1000).zoom(Box(500, 300, 502, 310))
    half = MIN_VIEW_SIDE // 2
    assert view.key == (501 - half, 305 - half, 501 + half, 305 + half)


def test_frame_smaller_than_the_least_side_is_shown_whole() -> None:
    assert View.whole(20, 10).zoom(Box(400, 400, 600, 600)).key == (0, 0, 20, 10)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, 5)])
def test_frame_without_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        View.whole(width, height)


@st.composite
def small_views(draw: st.DrawFn) -> View:
    view = View.whole(draw(st.integers(1, 120)), draw(st.integers(1, 120)))
    return view.zoom(draw(boxes()))


@given(small_views(), st.integers(0, 2**32 - 1))
def test_crop_undoes_paste(view: View, seed: int) -> None:
    mask = np.random.default_rng(seed).random((view.height, view.width)) < 0.5
    full = view.paste(mask)
    assert full.shape == (view.frame_height, view.frame_width)
    assert full.dtype == np.bool_
    np.testing.assert_array_equal(view.crop(full), mask)
    assert np.count_nonzero(full) == np.count_nonzero(mask)


@given(small_views(), st.integers(0, 2**32 - 1))
def test_paste_undoes_crop_where_the_view_looks(view: View, seed: int) -> None:
    full = np.random.default_rng(seed).random((view.frame_height, view.frame_width)) < 0.5
    looked_at = np.zeros_like(full)
    looked_at[view.y0 : view.y1, view.x0 : view.x1] = True
    np.testing.assert_array_equal(view.paste(view.crop(full)), full & looked_at)


def test_crop_is_no_copy_and_paste_is_one() -> None:
    view = View.whole(64, 48).zoom(Box(0, 0, 900, 900))
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    assert np.shares_memory(view.crop(frame), frame)
    mask = np.ones((view.height, view.width), dtype=np.bool_)
    assert not np.shares_memory(view.paste(mask), mask)


def test_arrays_of_another_size_are_refused() -> None:
    view = View.whole(64, 48)
    with pytest.raises(ValueError, match="64 x 48 frame, the array has 48 x 64"):
        view.crop(np.zeros((64, 48), dtype=np.bool_))
    with pytest.raises(ValueError, match=r"mask is \(64, 48\), the view is \(48, 64\)"):
        view.paste(np.zeros((64, 48), dtype=np.bool_))


whole_boxes = st.builds(Box, *[st.integers(0, 12)] * 4)


def _pixels(box: Box) -> set[tuple[int, int]]:
    return {(x, y) for x in range(12) for y in range(12) if box.x0 <= x < box.x1 and box.y0 <= y < box.y1}


@given(whole_boxes, whole_boxes)
def test_areas_and_overlap_of_boxes_count_pixels(a: Box, b: Box) -> None:
    shared, joined = _pixels(a) & _pixels(b), _pixels(a) | _pixels(b)
    assert a.area == len(_pixels(a))
    assert a.intersection(b).area == len(shared)
    assert a.iou(b) == (len(shared) / len(joined) if joined else 0.0)
    assert a.iou(b) == b.iou(a)


def test_sides_and_centre_of_a_box() -> None:
    box = Box(1, 2, 4, 8)
    assert (box.width, box.height, box.center) == (3, 6, Point(2.5, 5))
    assert Box(4, 8, 1, 2).area == 0
