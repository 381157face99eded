"""Set of marks: every mask can be told from the others, and no number hides a small thing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.marks import COLOURS, LABEL_HEIGHT, Mark, colour_of, draw_marks

GREY = np.full((480, 640, 3), 128, dtype=np.uint8)


def square(number: int, x: int, y: int, side: int) -> Mark:
    return Mark(number, np.ones((side, side), dtype=np.bool_), Box(x, y, x + side, y + side))


def changed(drawn: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((drawn != 128).any(axis=2))


def test_a_picture_without_marks_is_the_view() -> None:
    np.testing.assert_array_equal(draw_marks(GREY, [], 640, 480), GREY)


def test_a_small_thing_keeps_all_its_pixels_and_has_its_colour_around_it() -> None:
    drawn = draw_marks(GREY, [square(1, 300, 200, 6)], 640, 480)
    assert not changed(drawn[200:206, 300:306]).any()
    assert (drawn[199, 300:306] == colour_of(1)).all()
    assert changed(drawn).sum() > LABEL_HEIGHT**2


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 440), st.integers(1, 40)), min_size=1, max_size=24),
    st.sampled_from([(640, 480), (384, 288), (96, 72)]),
)
def test_any_marks_can_be_drawn_at_any_size(places: list[tuple[int, int, int]], size: tuple[int, int]) -> None:
    marks = [square(number, *place) for number, place in enumerate(places, 1)]
    drawn = draw_marks(GREY, marks, *size)
    assert drawn.shape == (size[1], size[0], 3)
    np.testing.assert_array_equal(drawn, draw_marks(GREY, marks, *size))


def test_numbers_of_two_dozen_small_things_hide_none_of_them() -> None:
    marks = [square(n + 1, 40 + 95 * (n % 6), 60 + 110 * (n // 6), 12) for n in range(24)]
    drawn = draw_marks(GREY, marks, 384, 288)
    for mark in marks:
        x, y = round(mark.box.x0 * 0.6) + 1, round(mark.box.y0 * 0.6) + 1
        assert not changed(drawn[y : y + 5, x : x + 5]).any(), mark.number


def test_a_number_stands_on_a_thing_that_is_much_larger() -> None:
    drawn = draw_marks(GREY, [square(1, 100, 100, 300)], 640, 480)
    beside = changed(drawn)
    beside[98:402, 98:402] = False
    assert not beside.any()
    assert changed(drawn[110:390, 110:390]).sum() >= LABEL_HEIGHT**2 / 2


def test_marks_in_a_picture_too_small_for_numbers_are_outlined() -> None:
    assert changed(draw_marks(GREY, [square(1, 300, 200, 60)], 12, 9)).any()


PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
TRITANOPIA = ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900))


@pytest.mark.parametrize("matrix", [PROTANOPIA, DEUTERANOPIA, TRITANOPIA], ids=["protan", "deutan", "tritan"])
def test_neighbouring_colours_differ_for_colour_blind_people(matrix: tuple[tuple[float, ...], ...]) -> None:
    """Simulated after Machado et al. 2009 (severity 1), compared as distances in linear RGB."""
    linear = (np.array(COLOURS) / 255) ** 2.2
    seen = linear @ np.array(matrix).T
    for one, other in pairwise([*seen, seen[0]]):
        assert np.linalg.norm(one - other) > 0.1
