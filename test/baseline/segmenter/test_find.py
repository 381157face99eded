"""Words to instances in the classical segmenter: every one of what it has a word for, none of what it has not."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import Drawn, draw, ground
from numpy.typing import NDArray

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import iou, whole
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.segmenter import PhraseSegmenter
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter

SEGMENTER = ClassicalSegmenter()


@pytest.fixture(scope="module")
def table() -> tuple[NDArray[np.uint8], list[Drawn]]:
    """A red circle, a blue square, another red circle, and a small blue circle."""
    frame = ground("noise", np.random.default_rng(5), (480, 240))
    return frame, [
        draw(frame, "circle", "red", (80, 120), 32),
        draw(frame, "square", "blue", (200, 110), 30),
        draw(frame, "circle", "red", (320, 130), 32),
        draw(frame, "circle", "blue", (430, 60), 16),
    ]


def found(frame: NDArray[np.uint8], phrase: str) -> list[NDArray[np.bool_]]:
    detections = SEGMENTER.find(SEGMENTER.encode(frame), phrase)
    scores = [one.score for one in detections]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    return [whole(one.part, one.box, (frame.shape[0], frame.shape[1])) for one in detections]


@pytest.mark.parametrize(
    ("phrase", "meant"),
    [
        ("red circle", [0, 2]),
        ("the red circles", [0, 2]),
        ("circle", [0, 2, 3]),
        ("blue thing", [1, 3]),
        ("blue circle", [3]),
        ("the two circles left of the small circle", [0, 2]),
        ("red circle and blue square", [0, 1, 2]),
        ("green circle", []),
        ("mug", []),
        ("red mug", []),
        ("mug and circle", []),
        ("第二个红球", []),
        ("?", []),
    ],
)
def test_every_instance_of_a_known_noun_and_none_of_another(
    table: tuple[NDArray[np.uint8], list[Drawn]], phrase: str, meant: list[int]
) -> None:
    frame, drawn = table
    masks = found(frame, phrase)
    shown = [max(range(len(drawn)), key=lambda n: iou(mask, drawn[n].mask)) for mask in masks]
    assert sorted(shown) == meant
    assert all(iou(mask, drawn[n].mask) > 0.85 for mask, n in zip(masks, shown, strict=True))


@pytest.mark.parametrize("shape", [(1, 1, 3), (33, 700, 3), (240, 320, 3)])
def test_an_empty_image_has_no_instances(shape: tuple[int, int, int]) -> None:
    assert found(np.full(shape, 90, np.uint8), "red ball") == []


def test_a_large_image_has_masks_of_its_own_size() -> None:
    frame = ground("plain", np.random.default_rng(2), (1600, 1200))
    thing = draw(frame, "square", "green", (700, 500), 200)
    (mask,) = found(frame, "green square")
    assert iou(mask, thing.mask) > 0.95


def test_the_reference_policy_marks_several_things_through_words(
    table: tuple[NDArray[np.uint8], list[Drawn]],
) -> None:
    frame, drawn = table
    assert isinstance(SEGMENTER, PhraseSegmenter)
    policy = ReferencePolicy()
    episode = Episode(frame, "all the red circles", SEGMENTER, pictures=policy.pictures)
    result = drive(episode, policy)
    assert [turn.tool for turn in episode.trace.turns] == ["find", "finish"]
    assert result.outcome is Outcome.FOUND
    mask = result.mask()
    assert mask is not None
    assert iou(mask, drawn[0].mask | drawn[2].mask) > 0.85
