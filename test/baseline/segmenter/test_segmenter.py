"""Boxes, points, earlier masks: what the classical segmenter makes of them."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from drawings import Drawn, scene
from numpy.typing import NDArray
from varied_drawings import jpeg, picture

from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.mask import bounding_box, iou
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.baseline.segmenter import ClassicalSegmenter

SEGMENTER = ClassicalSegmenter()


def box_of(thing: Drawn, margin: float = 4) -> Box:
    box = bounding_box(thing.mask)
    assert box is not None
    return Box(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin)


def inside(thing: Drawn) -> Point:
    ys, xs = np.nonzero(thing.mask)
    return Point(float(xs.mean()) + 0.5, float(ys.mean()) + 0.5)


def answer(frame: NDArray[np.uint8], prompt: MaskPrompt) -> Candidate:
    candidates = SEGMENTER.masks(SEGMENTER.encode(frame), prompt)
    assert 1 <= len(candidates) <= 3
    for candidate in candidates:
        assert (candidate.mask.shape, candidate.mask.dtype) == (frame.shape[:2], np.bool_)
        assert candidate.logits.dtype == np.float32
        assert max(candidate.logits.shape) <= 256
        assert 0 <= candidate.score <= 1
        assert math.isfinite(candidate.score)
    return max(candidates, key=lambda candidate: candidate.score)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["box", "point", "both"])
def test_a_prompt_gives_the_thing(seed: int, kind: str) -> None:
    frame, drawn = scene(seed)
    for thing in drawn:
        prompt = MaskPrompt.of(
            box=None if kind == "point" else box_of(thing), positive=() if kind == "box" else (inside(thing),)
        )
        assert iou(answer(frame, prompt).mask, thing.mask) > 0.85, (thing.colour, thing.shape)


@pytest.mark.parametrize(
    ("size", "quality", "least"), [((400, 300), 100, 0.88), ((400, 300), 60, 0.82), ((1920, 1080), 90, 0.93)]
)
def test_other_palettes_textures_and_grounds(size: tuple[int, int], quality: int, least: float) -> None:
    overlaps = []
    for seed in range(40, 44):
        frame, drawn = picture(seed, size)
        compressed = jpeg(frame, quality)
        for thing in drawn:
            prompt = MaskPrompt.of(box=box_of(thing, margin=size[1] / 100), positive=(inside(thing),))
            overlaps.append(iou(answer(compressed, prompt).mask, thing.mask))
    assert np.mean(overlaps) > least
    assert min(overlaps) > 0.6


def test_points_are_kept_to() -> None:
    frame, drawn = scene(0)
    first, second = drawn[0], drawn[1]
    yes, no = inside(first), inside(second)
    wide = Box(0, 0, 320, 120)
    mask = answer(frame, MaskPrompt.of(box=wide, positive=(yes,), negative=(no,))).mask
    assert mask[int(yes.y), int(yes.x)]
    assert not mask[int(no.y), int(no.x)]


def test_a_mask_input_alone_is_refined() -> None:
    frame, drawn = scene(3)
    rough = np.where(drawn[2].mask, np.float32(4), np.float32(-4))
    rough = np.roll(rough, 4, axis=1)
    assert iou(answer(frame, MaskPrompt.of(mask_input=rough)).mask, drawn[2].mask) > 0.85


@pytest.mark.parametrize(
    "prompt",
    [
        MaskPrompt(),
        MaskPrompt.of(negative=(Point(5, 5),)),
        MaskPrompt.of(positive=(Point(9999, 9999),)),
        MaskPrompt.of(box=Box(400, 300, 500, 400)),
        MaskPrompt.of(mask_input=np.full((32, 32), -5, np.float32)),
    ],
)
def test_a_prompt_without_use_is_refused_in_a_sentence(prompt: MaskPrompt) -> None:
    frame, _ = scene(0)
    with pytest.raises(ToolFailed, match=r"\.$"):
        SEGMENTER.masks(SEGMENTER.encode(frame), prompt)


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (1920, 8), (33, 33)])
def test_any_size_of_picture(size: tuple[int, int]) -> None:
    width, height = size
    frame = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    with contextlib.suppress(ToolFailed):  # noise may well leave nothing to cut
        answer(frame, MaskPrompt.of(box=Box(0, 0, width, height)))


def test_the_same_prompt_gives_the_same_masks_in_any_order() -> None:
    frame, drawn = scene(2)
    encoding = SEGMENTER.encode(frame)
    first = SEGMENTER.masks(encoding, MaskPrompt.of(box=box_of(drawn[0])))
    SEGMENTER.masks(encoding, MaskPrompt.of(box=box_of(drawn[1])))
    again = SEGMENTER.masks(encoding, MaskPrompt.of(box=box_of(drawn[0])))
    for one, other in zip(first, again, strict=True):
        assert one.score == other.score
        assert np.array_equal(one.mask, other.mask)
