"""A detector's boxes drawn by SAM: a made detector and a network that fills its boxes, so that answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch

from rsagent_ros.agent.errors import RunFailed, ToolFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.segmenter import MaskPrompt, PhraseSegmenter
from rsagent_ros.segmenters.encodings import Features
from rsagent_ros.segmenters.sam2 import PROMPTS_AT_ONCE
from rsagent_ros.segmenters.sam2_finder import Sam2Finder
from rsagent_ros.segmenters.sam2_tensors import InputFormat, PromptTensors

SIDE, LOW = 256, 64
FRAME = np.zeros((128, 256, 3), dtype=np.uint8)
MUG, BALL = (16.0, 16.0, 80.0, 64.0), (160.0, 32.0, 224.0, 96.0)


class FillingNetwork:
    """Draws a box from edge to edge, with logits of 5."""

    name = "filling"
    input_format = InputFormat(SIDE, LOW, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.embedded = 0

    def embed(self, pixels: torch.Tensor) -> Features:
        self.embedded += 1
        return (pixels[:, :1],)

    def decode(self, features: Features, prompts: PromptTensors) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(prompts.point_coords)
        self.drawn.append(count)
        logits = torch.full((count, 1, LOW, LOW), -5.0)
        for square, corners in zip(logits[:, 0], prompts.point_coords, strict=True):
            (x0, y0), (x1, y1) = (corners[:2] * LOW / SIDE).round().int().tolist()
            square[y0:y1, x0:x1] = 5.0
        return logits, torch.full((count, 1), 0.5)


class MadeDetector:
    """Knows where everything is."""

    name = "made"

    def __init__(self, known: dict[str, list[tuple[tuple[float, float, float, float], float]]]) -> None:
        self.known = known
        self.faults: list[Exception] = []

    def find(self, image: NDArray[np.uint8], phrase: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.faults:
            raise self.faults.pop()
        found = self.known.get(phrase, [])
        boxes = np.array([box for box, _ in found], dtype=np.float64).reshape(-1, 4)
        return boxes, np.array([score for _, score in found])


def finder(detector: MadeDetector, network: FillingNetwork | None = None) -> Sam2Finder:
    made: Any = detector
    return Sam2Finder(FillingNetwork() if network is None else network, made)


def test_each_box_becomes_a_mask_with_the_detectors_score() -> None:
    segmenter = finder(MadeDetector({"thing": [(BALL, 0.9), (MUG, 0.6)]}))
    assert isinstance(segmenter, PhraseSegmenter)
    assert segmenter.name == "filling+made"
    found = segmenter.find(segmenter.encode(FRAME), "thing")
    assert [one.score for one in found] == [0.9, 0.6]
    assert [one.box for one in found] == [Box(160, 32, 224, 96), Box(16, 16, 80, 64)]
    assert all(one.part.mean() > 0.95 for one in found)
    assert all(one.stability == 1.0 for one in found)


def test_nothing_found_is_an_answer() -> None:
    segmenter = finder(MadeDetector({}))
    assert segmenter.find(segmenter.encode(FRAME), "thing") == []


def test_two_boxes_around_one_thing_are_one_instance() -> None:
    near = (18.0, 16.0, 82.0, 66.0)
    segmenter = finder(MadeDetector({"mug": [(MUG, 0.6), (BALL, 0.5), (near, 0.9)]}))
    found = segmenter.find(segmenter.encode(FRAME), "mug")
    assert [one.score for one in found] == [0.9, 0.5]
    assert abs(found[0].box.x1 - 82) <= 2


def test_many_boxes_are_drawn_in_batches_on_one_encoding() -> None:
    network = FillingNetwork()
    corners = [(32.0 * column, 32.0 * row) for column in range(8) for row in range(4)]
    grid = [((x, y, x + 16.0, y + 16.0), 0.5) for x, y in corners]
    segmenter = finder(MadeDetector({"bolt": grid}), network)
    assert len(segmenter.find(segmenter.encode(FRAME), "bolt")) == len(grid) == 32
    assert network.drawn == [PROMPTS_AT_ONCE] * 2
    assert network.embedded == 1


def test_prompts_work_as_without_a_finder() -> None:
    segmenter = finder(MadeDetector({}))
    (one,) = segmenter.masks(segmenter.encode(FRAME), MaskPrompt.of(Box(*MUG)))
    assert (one.score, bool(one.mask[40, 40]), bool(one.mask[100, 200])) == (0.5, True, False)


def test_a_phrase_that_the_detector_refuses_is_a_failed_tool() -> None:
    detector = MadeDetector({})
    detector.faults = [ToolFailed("phrase_too_long", "Use fewer words.")]
    segmenter = finder(detector)
    with pytest.raises(ToolFailed, match="phrase_too_long"):
        segmenter.find(segmenter.encode(FRAME), "thing")


def test_a_full_memory_is_freed_once_and_ends_the_goal_the_second_time() -> None:
    detector = MadeDetector({"mug": [(MUG, 0.6)]})
    segmenter = finder(detector)
    encoding = segmenter.encode(FRAME)
    detector.faults = [torch.OutOfMemoryError("injected")]
    assert len(segmenter.find(encoding, "mug")) == 1
    detector.faults = [torch.OutOfMemoryError("injected")] * 2
    with pytest.raises(RunFailed, match="memory of cpu is full") as failure:
        segmenter.find(encoding, "mug")
    assert failure.value.code is ErrorCode.OUT_OF_MEMORY
