"""Sizes of pictures and units of coordinates, for any view and any model's patches."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeSegmenter
from hypothesis import given
from hypothesis import strategies as st

from rsagent_ros.agent.actions import Zoom, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box, Point, View
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat, draw_picture
from rsagent_ros.agent.policy import Reply

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
    assert pixels.extent(1920, 1080, "overlay") == pixels.size(1920, 1080, "overlay") == (392, 224)
    assert PictureFormat(768, 28, "pixels", "square").extent(1920, 1080, "overlay") == (756, 420)
    assert (PictureFormat(768, 28).largest_coordinate, pixels.largest_coordinate) == (1000, 756)


@pytest.mark.parametrize(("side", "multiple"), [(768, 0), (768, -28), (27, 28), (0, 1)])
def test_format_that_holds_no_multiple_is_refused(side: int, multiple: int) -> None:
    with pytest.raises(ValueError, match=f"pictures of {side} pixels hold no multiple of {multiple}"):
        PictureFormat(side, multiple)


def test_pictures_are_read_only_and_of_the_promised_size() -> None:
    whole = View.whole(64, 48)
    clean = draw_picture(FRAME, whole, None, DEFAULT_PICTURES)
    overlay = draw_picture(FRAME, whole, np.ones((48, 64), dtype=np.bool_), DEFAULT_PICTURES)
    assert (clean.kind, clean.pixels.shape) == ("view", (288, 384, 3))  # enlarged to half of the side, no further
    assert (overlay.kind, overlay.pixels.shape) == ("overlay", (288, 384, 3))
    large = np.zeros((1080, 1920, 3), dtype=np.uint8)
    assert draw_picture(large, View.whole(1920, 1080), None, DEFAULT_PICTURES).pixels.shape == (432, 768, 3)
    for picture in (clean, overlay):
        with pytest.raises(ValueError, match="read-only"):
            picture.pixels[0, 0] = 0


@pytest.mark.parametrize("multiple", [28, 32])
def test_pictures_of_a_family_have_sides_of_its_multiple(multiple: int) -> None:
    whole = View.whole(64, 48)
    for pictures in (PictureFormat(768, multiple), PictureFormat(768, multiple, overlay="square")):
        for mask in (None, np.ones((48, 64), dtype=np.bool_)):
            height, width, _ = draw_picture(FRAME, whole, mask, pictures).pixels.shape
            assert (height % multiple, width % multiple) == (0, 0)


@given(sides, sides, st.integers(56, 2000), st.sampled_from([1, 14, 28, 32, 56]))
def test_an_overlay_has_the_shape_of_its_view(width: int, height: int, side: int, multiple: int) -> None:
    longer = min(384, side)
    size = PictureFormat(side, multiple).size(width, height, "overlay")
    for got, exact in zip(
        size, (width * longer / max(width, height), height * longer / max(width, height)), strict=True
    ):
        assert got % multiple == 0
        assert multiple <= got <= side
        assert abs(got - exact) < 1.5 * multiple or got == multiple  # both its own side and the longer one are rounded


def test_an_overlay_of_release_0_1_0_is_a_square_with_the_view_at_its_top_left() -> None:
    whole, mask = View.whole(64, 48), np.ones((48, 64), dtype=np.bool_)
    square = draw_picture(FRAME, whole, mask, PictureFormat(overlay="square")).pixels
    assert square.shape == (384, 384, 3)
    np.testing.assert_array_equal(square[:288], draw_picture(FRAME, whole, mask, DEFAULT_PICTURES).pixels)
    assert not square[288:].any()


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


FORMATS = [
    PictureFormat(),
    PictureFormat(768, 32),
    PictureFormat(756, 28, "pixels"),
    PictureFormat(336, 28, "pixels"),
]


@pytest.mark.parametrize("pictures", FORMATS, ids=str)
@pytest.mark.parametrize(("width", "height"), [(640, 480), (1080, 1920), (300, 900), (1000, 130)])
@pytest.mark.parametrize("zoom", [None, Box(200, 300, 1000, 800)], ids=["whole", "zoomed"])
def test_a_point_read_off_any_picture_means_what_it_says(
    pictures: PictureFormat, width: int, height: int, zoom: Box | None
) -> None:
    """A red spot is found in the newest picture, clean or overlay, and pointed at where it is seen."""
    view = View.whole(width, height) if zoom is None else View.whole(width, height).zoom(zoom)
    x, y = view.x0 + round(0.8 * view.width), view.y0 + round(0.9 * view.height)
    frame = np.full((height, width, 3), 128, np.uint8)
    reach = max(5, min(view.width, view.height) // 12)
    frame[y - reach : y + reach, x - reach : x + reach] = (255, 0, 0)
    episode = Episode(frame, "the spot", FakeSegmenter(), Budget(seconds=600.0), pictures=pictures)
    if zoom is not None:
        across, down = pictures.extent(width, height)
        episode.step(Reply(render(Zoom(zoom), (across, down))))
    for kind in ("view", "overlay", "overlay"):
        picture = episode.messages[-1].pictures[-1]
        assert picture.kind == kind
        rows, columns, _ = picture.pixels.shape
        red = picture.pixels[..., 0].astype(int) - picture.pixels[..., 1:].max(axis=2) > 40
        seen = [float(axis.mean()) + 0.5 for axis in np.nonzero(red)[::-1]]
        unit = (1.0, 1.0) if pictures.coordinates == "pixels" else (1000 / columns, 1000 / rows)
        point = [round(at * scale) for at, scale in zip(seen, unit, strict=True)]
        call = f'<tool_call>{{"name": "segment", "arguments": {{"positive": [{point}]}}}}</tool_call>'
        turn = episode.step(Reply(call))
        assert turn is not None
        assert turn.arguments is not None
        ((at_x, at_y),) = turn.arguments["positive"]
        pointed = view.to_frame(Point(at_x, at_y))
        step = 1.5 * max(view.width / columns, view.height / rows) + 1
        assert (abs(pointed.x - x) <= step, abs(pointed.y - y) <= step) == (True, True)
