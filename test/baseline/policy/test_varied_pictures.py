"""The reference policy on pictures it was not tuned on: other palettes, textures and grounds, bad light, any size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from varied_drawings import Question, jpeg, picture, questions

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter

Picture = NDArray[np.uint8]


def light(red: float, green: float, blue: float) -> Callable[[Picture], Picture]:
    return lambda pixels: np.clip(pixels * np.array([red, green, blue]), 0, 255).astype(np.uint8)


def noisy(pixels: Picture) -> Picture:
    return np.clip(pixels + np.random.default_rng(0).normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)


def compressed(pixels: Picture) -> Picture:
    return jpeg(pixels, 60)


def unchanged(pixels: Picture) -> Picture:
    return pixels


def asked(
    seeds: Sequence[int], distorted: Callable[[Picture], Picture], size: tuple[int, int]
) -> list[tuple[Question, Result]]:
    answers = []
    for seed in seeds:
        pixels, drawn = picture(seed, size)
        for question in questions(drawn, seed):
            episode = Episode(distorted(pixels), question.words, ClassicalSegmenter(), Budget(seconds=600))
            answers.append((question, drive(episode, ReferencePolicy())))
    return answers


def right(question: Question, result: Result) -> bool:
    """The outcome is the true one, and each thing that is meant has a good mask."""
    if result.outcome is not question.expected:
        return False
    given = [one.mask for one in (*result.instances, *result.candidates)]
    return all(max(iou(mask, thing.mask) for mask in given) > 0.75 for thing in question.things)


def wrong_object(question: Question, result: Result) -> bool:
    """Something that was not asked for is said to be found."""
    return result.outcome is Outcome.FOUND and all(
        iou(one.mask, thing.mask) < 0.1 for one in result.instances for thing in question.things
    )


def check(answers: list[tuple[Question, Result]], most_failures: int, most_wrong: int) -> None:
    failures = [f"{question.words}: {result.outcome}" for question, result in answers if not right(question, result)]
    wrong = [question.words for question, result in answers if wrong_object(question, result)]
    assert len(failures) <= most_failures, failures
    assert len(wrong) <= most_wrong, wrong


def test_other_palettes_textures_and_grounds() -> None:
    check(asked(range(10), unchanged, (400, 300)), most_failures=3, most_wrong=1)


@pytest.mark.parametrize(
    "distorted",
    [light(0.6, 0.6, 0.6), light(1.4, 1.4, 1.4), light(1.1, 1.0, 0.85), light(0.87, 1.0, 1.1), noisy, compressed],
    ids=["dark", "bright", "warm", "cool", "noisy", "jpeg 60"],
)
def test_bad_pictures(distorted: Callable[[Picture], Picture]) -> None:
    check(asked((20, 21, 22), distorted, (400, 300)), most_failures=3, most_wrong=1)


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1920, 1080)])
def test_sizes(size: tuple[int, int]) -> None:
    check(asked((30, 31), unchanged, size), most_failures=1, most_wrong=0)
