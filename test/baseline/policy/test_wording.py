"""Words for what was seen: English, and telling objects apart."""

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


def test_articles_and_plurals(row: tuple[SceneObject, ...]) -> None:
    assert [wording.indefinite(words) for words in ("orange box", "red box")] == ["an orange box", "a red box"]
    assert [wording.count(2, noun) for noun in ("ball", "box")] == ["two balls", "two boxes"]
    assert "an orange" in wording.inventory(row)


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("the orange triangle", "orange triangle"),
        ("the green circle", "green circle"),
        ("the blue circle left of the orange triangle", "orange triangle"),
        ("the three orange things", "three orange things"),
        ("the mug", "mug"),
        ("the blue circle left of the mug", "mug"),
    ],
)
def test_the_part_that_is_missing_is_named(row: tuple[SceneObject, ...], words: str, missing: str) -> None:
    assert missing in ground(understood(words)[0], row).missing


@pytest.mark.parametrize(
    ("words", "numbers", "answers"), [("the circle", (1, 2), ("blue", "orange")), ("the orange thing", (0, 2), ())]
)
def test_a_question_tells_the_objects_apart(
    row: tuple[SceneObject, ...], words: str, numbers: tuple[int, ...], answers: tuple[str, ...]
) -> None:
    objects = [row[number] for number in numbers]
    question = wording.question(understood(words)[0], objects)
    first, second = question.rpartition(":")[2].split(" or ")
    assert first.strip(" ?") != second.strip(" ?")
    assert all(word in question for word in answers)
