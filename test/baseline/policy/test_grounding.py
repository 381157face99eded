"""Which things a phrase means, on a drawn row of shapes: one, several, none, or a question."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rsagent_ros.baseline.policy.grounding import Grounding, ground
from rsagent_ros.baseline.policy.language import understood
from rsagent_ros.baseline.policy.objects import SceneObject, detect

RED, BLUE, GREEN = (205, 35, 40), (35, 70, 200), (40, 150, 60)
WIDTH, HEIGHT = 640, 240


@pytest.fixture(scope="module")
def objects() -> tuple[SceneObject, ...]:
    """From left to right: a large red circle, a red square, a green circle on a blue square, a small red circle."""
    pixels: NDArray[np.uint8] = np.full((HEIGHT, WIDTH, 3), 195, np.uint8)
    cv2.circle(pixels, (80, 120), 55, RED, -1, cv2.LINE_AA)
    cv2.rectangle(pixels, (200, 90), (260, 150), RED, -1)
    cv2.rectangle(pixels, (340, 70), (450, 180), BLUE, -1)
    cv2.circle(pixels, (395, 125), 25, GREEN, -1, cv2.LINE_AA)
    cv2.circle(pixels, (560, 120), 26, RED, -1, cv2.LINE_AA)
    found = sorted(detect(pixels), key=lambda one: (round(one.centre.x / 20), -one.area))
    assert [one.colour for one in found] == ["red", "red", "blue", "green", "red"]
    return tuple(found)


def grounded(words: str, objects: tuple[SceneObject, ...]) -> tuple[Grounding, list[int]]:
    found = ground(understood(words)[0], objects)
    return found, sorted(number for number, one in enumerate(objects) if any(one is target for target in found.targets))


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("the red square", [1]),
        ("the green circle", [3]),
        ("the small red circle", [4]),
        ("the larger of the two red circles", [0]),
        ("the smallest red thing", [4]),
        ("the second red thing from the left", [1]),
        ("the last red thing", [4]),
        ("the two leftmost things", [0, 1]),
        ("the last two red things", [1, 4]),
        ("the two red circles", [0, 4]),
        ("all red things", [0, 1, 4]),
        ("all red things but the square", [0, 4]),
        ("everything except the red circles", [1, 2, 3]),
        ("the square that is not red", [2]),
        ("the square with a green circle on it", [2]),
        ("the square without a circle on it", [1]),
        ("the circle inside the blue square", [3]),
        ("the red circle smaller than the red square", [4]),
        ("the red thing larger than the red square", [0]),
        ("the red circle nearest the blue square", [4]),
        ("the square between the red circle and the blue square", [1]),
        ("the red thing right of the red square and right of the blue square", [4]),
        ("the red circle that is not left of the red square", [4]),
        ("the red circle furthest to the right", [4]),
    ],
)
def test_what_is_meant_beyond_doubt(objects: tuple[SceneObject, ...], words: str, numbers: list[int]) -> None:
    found, targets = grounded(words, objects)
    assert (targets, found.ambiguous) == (numbers, False), found.missing


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("the red circle", [0, 4]),
        ("the square", [1, 2]),
        ("the red thing", [0, 1, 4]),
        ("the two red things", [0, 1, 4]),
        ("one of the red circles", [0, 4]),
        ("the striped red circle", [0, 4]),
    ],
)
def test_more_fit_than_are_meant(objects: tuple[SceneObject, ...], words: str, numbers: list[int]) -> None:
    found, targets = grounded(words, objects)
    assert (targets, found.ambiguous) == (numbers, True)


@pytest.mark.parametrize(
    "words",
    ["the yellow circle", "the blue circle", "the red triangle", "the three red circles", "the fourth red thing",
     "the red circle left of the yellow square", "the green circle left of the red circle's square", "the mug",
     "the red circle's box", "the circle or the square", "the green thing that is not a circle"],
)  # fmt: skip
def test_what_is_not_there_or_not_understood(objects: tuple[SceneObject, ...], words: str) -> None:
    found, targets = grounded(words, objects)
    assert not targets
    assert found.missing
