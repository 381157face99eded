"""The colours of a thing: what they explain, what hides it, and what is learned."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rsagent_ros.baseline.tracker.appearance import Appearance, brightening

MASK = np.zeros((100, 120), np.bool_)
MASK[30:70, 40:90] = True


def scene(colour: tuple[int, int, int] = (200, 40, 40), light: float = 1.0) -> NDArray[np.uint8]:
    picture = np.full((100, 120, 3), (130, 135, 140), np.float64)
    picture[MASK] = colour
    picture += np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(picture * light, 0, 255).astype(np.uint8)


def test_the_thing_is_explained_and_its_surroundings_are_not() -> None:
    found = Appearance(scene(), MASK).match(scene(), MASK, 0.0)
    assert found.visible_share == 1.0
    assert found.similarity > 0.95
    own = Appearance(scene(), MASK).explains(scene(), 0.0)
    assert own[MASK].mean() > 0.9
    assert own[~MASK].mean() < 0.05


@pytest.mark.parametrize("light", [0.6, 0.8, 1.2])
def test_another_light_that_is_known_makes_no_difference(light: float) -> None:
    found = Appearance(scene(), MASK).match(scene(light=light), MASK, float(np.log(light)))
    assert found.visible_share == 1.0
    assert found.similarity > 0.5  # a plain thing is a few bins wide; a track learns the new ones step by step


def test_another_colour_is_not_the_thing() -> None:
    found = Appearance(scene(), MASK).match(scene((40, 60, 200)), MASK, 0.0)
    assert found.visible_share < 0.05


def test_what_stands_before_it_is_cut_away() -> None:
    picture = scene()
    picture[30:70, 70:90] = (60, 160, 70)
    found = Appearance(scene(), MASK).match(picture, MASK, 0.0)
    assert found.visible_share == pytest.approx(0.6, abs=0.05)
    assert not found.visible[35:65, 73:88].any()
    assert found.visible[35:65, 43:67].all()


def test_a_swap_is_never_learned_however_slow() -> None:
    appearance = Appearance(scene(), MASK)
    other = Appearance(scene((40, 60, 200)), MASK).match(scene((40, 60, 200)), MASK, 0.0)
    for _ in range(200):
        appearance.learn(other)
    assert appearance.match(scene(), MASK, 0.0).visible_share == 1.0


def test_brightening_is_that_of_the_whole_picture() -> None:
    before = np.random.default_rng(0).integers(60, 120, (240, 320)).astype(np.uint8)
    after = (before * 1.5).astype(np.uint8)
    assert brightening(before, after) == pytest.approx(np.log(1.5), abs=0.05)
    thing = before.copy()
    thing[:100, :100] = 255
    assert abs(brightening(before, thing)) < 0.02
