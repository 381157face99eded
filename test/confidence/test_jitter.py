"""Whether a mask stays the same when its prompt moves a little."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import scene
from fakes import FakeSegmenter
from numpy.typing import NDArray

from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.confidence.jitter import TRIES, prompt_stability


def test_a_thing_is_more_stable_than_a_patch_of_nothing() -> None:
    frame, drawn = scene(0)
    segmenter = ClassicalSegmenter()
    encoding = segmenter.encode(frame)
    patch = np.zeros(frame.shape[:2], np.bool_)
    patch[100:140, 140:190] = True
    patch &= ~np.logical_or.reduce([thing.mask for thing in drawn])
    firm = prompt_stability(segmenter, encoding, drawn[0].mask)
    assert firm > 0.85
    assert prompt_stability(segmenter, encoding, patch) < firm - 0.2
    assert prompt_stability(segmenter, encoding, drawn[0].mask) == firm


def test_it_asks_so_many_times_around_the_mask() -> None:
    segmenter = FakeSegmenter()
    mask = np.zeros((100, 100), np.bool_)
    mask[20:80, 30:70] = True
    value = prompt_stability(segmenter, segmenter.encode(np.zeros((100, 100, 3), np.uint8)), mask)
    assert len(segmenter.prompts) == TRIES
    assert len(segmenter.encoded) == 1
    assert 0.8 < value < 1.0  # the fake masks the box itself, which moved


def test_prompts_without_an_answer_count_as_unstable() -> None:
    class Blind(FakeSegmenter):
        def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
            raise ToolFailed("empty_mask", "Nothing.")

    frame: NDArray[np.uint8] = np.zeros((10, 10, 3), np.uint8)
    blind = Blind()
    assert prompt_stability(blind, blind.encode(frame), np.ones((10, 10), np.bool_)) == 0.0
    with pytest.raises(ValueError, match="empty"):
        prompt_stability(blind, blind.encode(frame), np.zeros((10, 10), np.bool_))
