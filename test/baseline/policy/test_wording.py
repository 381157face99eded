"""What is told of things, in plain English."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rsagent_ros.baseline.policy import wording
from rsagent_ros.baseline.policy.grounding import ground
from rsagent_ros.baseline.policy.language import understood
from rsagent_ros.baseline.policy.objects import SceneObject, detect

ORANGE, BLUE = (245, 130, 20), (35, 70, 200)


@pytest.fixture(scope="module")
def row() -> tuple[SceneObject, ...]:
    """An orange square, a blue circle and an orange circle, from left to right."""
    pixels: NDArray[np.uint8] = np.full((200, 400, 3), 190, np.uint8)
    cv2.rectangle(pixels, (30, 70), (90, 130), ORANGE, -1)
    cv2.circle(pixels, (200, 100), 32, BLUE, -1)
    cv2.circle(pixels, (330, 100), 32, ORANGE, -1)
    return tuple(sorted(detect(pixels), key=lambda one: one.centre.x))


def missing(words: str, objects: tuple[SceneObject, ...]) -> str:
    return ground(understood(words)[0], objects).missing


def test_articles(row: tuple[SceneObject, ...]) -> None:
    assert wording.indefinite("orange box") == "an orange box"
    assert wording.indefinite("red box") == "a red box"
    told = wording.inventory(row)
    assert "an orange" in told
    assert "a blue" in told
    assert "a orange" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("the orange triangle", "an orange triangle"),
        ("the green circle", "a green circle"),
        ("the blue circle left of the orange triangle", "an orange triangle"),
        ("the three orange things", "three orange things"),
        ("the fourth thing from the left", "a thing"),
        ("the mug", 'anything that I know as "mug"'),
        ("the blue circle left of the mug", 'anything that I know as "mug"'),
    ],
)
def test_what_is_missing_is_named(row: tuple[SceneObject, ...], words: str, told: str) -> None:
    assert missing(words, row) == told


def test_a_question_tells_the_things_apart(row: tuple[SceneObject, ...]) -> None:
    (phrase,) = understood("the circle")
    assert wording.question(phrase, row[1:]) == "There are two circles: the blue one or the orange one?"
    (phrase,) = understood("the orange thing")
    told = wording.question(phrase, (row[0], row[2]))
    assert told.startswith("There are two orange things: the orange ")
