"""Sizes of pictures and units of coordinates, for any view and any model's patches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_ros.agent.geometry import Box, Point, View
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat, draw_picture

FRAME = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)

sides = st.integers(1, 5000)


@given(sides, sides, st.integers(56, 2000), st.sampled_from([1, 14, 28, 32, 56]))
def test_sides_are_whole_multiples_and_nearly_in_proportion(width: int, height: int, side: int, multiple: int) -> None:
    size = PictureFormat(side, multiple).size(width, height)
    scale = min(max(max(width, height), side // 2), side) / max(width, height)
    for got, exact in zip(size, (width * scale, height * scale), strict=True):
        assert got % multiple == 0
        assert multiple <= got <= side
        assert abs(got - exact) <= multiple / 2 or got == multiple or got > side - multiple


@pytest.mark.parametrize(
    ("view", "size"),
    [((1920, 1080), (768, 432)), ((1080, 1920), (432, 768)), ((600, 300), (600, 300)), ((64, 48), (384, 288))],
)
def test_large_views_shrink_small_ones_grow_to_half_and_the_rest_stays(
    view: tuple[int, int], size: tuple[int, int]
) -> None:
    assert PictureFormat(768).size(*view) == size


def test_unit_of_coordinates() -> None:
    assert PictureFormat(768, 28).extent(1920, 1080) == (1000, 1000)
    pixels = PictureFormat(768, 28, "pixels")
    assert pixels.extent(1920, 1080) == pixels.size(1920, 1080) == (756, 420)


@pytest.mark.parametrize(("side", "multiple"), [(768, 0), (768, -28), (27, 28), (0, 1)])
def test_format_that_holds_no_multiple_is_refused(side: int, multiple: int) -> None:
    with pytest.raises(ValueError, match=f"pictures of {side} pixels hold no multiple of {multiple}"):
        PictureFormat(side, multiple)


def test_pictures_are_read_only_and_of_the_promised_size() -> None:
    whole = View.whole(64, 48)
    clean = draw_picture(FRAME, whole, None, DEFAULT_PICTURES)
    overlay = draw_picture(FRAME, whole, np.ones((48, 64), dtype=np.bool_), DEFAULT_PICTURES)
    assert (clean.kind, clean.pixels.shape) == ("view", (288, 384, 3))  # enlarged to half of the side, no further
    assert (overlay.kind, overlay.pixels.shape) == ("overlay", (384, 384, 3))
    large = np.zeros((1080, 1920, 3), dtype=np.uint8)
    assert draw_picture(large, View.whole(1920, 1080), None, DEFAULT_PICTURES).pixels.shape == (432, 768, 3)
    for picture in (clean, overlay):
        with pytest.raises(ValueError, match="read-only"):
            picture.pixels[0, 0] = 0


@pytest.mark.parametrize("multiple", [28, 32])
def test_pictures_of_a_family_have_sides_of_its_multiple(multiple: int) -> None:
    pictures = PictureFormat(768, multiple)
    whole = View.whole(64, 48)
    for mask in (None, np.ones((48, 64), dtype=np.bool_)):
        height, width, _ = draw_picture(FRAME, whole, mask, pictures).pixels.shape
        assert (height % multiple, width % multiple) == (0, 0)


@given(
    st.sampled_from([PictureFormat(), PictureFormat(756, 28, "pixels")]), st.integers(60, 1900), st.integers(60, 900)
)
def test_a_box_is_told_in_the_unit_in_which_it_is_read(pictures: PictureFormat, x: int, y: int) -> None:
    view = View.whole(1920, 1080).zoom(Box(100, 100, 900, 900))
    thing = Box(x, y, x + 40, y + 30)
    told = pictures.box(view.box_to_view(thing), view)
    across, down = pictures.extent(view.width, view.height)
    for (got_x, got_y), corner in zip((told[:2], told[2:]), (Point(x, y), Point(x + 40, y + 30)), strict=True):
        back = view.to_frame(Point(got_x * 1000 / across, got_y * 1000 / down))
        assert abs(back.x - corner.x) <= view.width / across
        assert abs(back.y - corner.y) <= view.height / down
