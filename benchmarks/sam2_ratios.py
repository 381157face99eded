"""SAM 2 on the CPU with a tiny random network, one thread: ratios only; times here say nothing of a robot's GPU.

`gpu_sam2.py` measures the network of the real size on a machine with CUDA.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from entry import Entry, at_most, not_here, reported
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.segmenter import MaskPrompt

WIDTH, HEIGHT = 640, 480
ROUNDS = 15
PROMPTS = 10
LIMIT_AGAIN = 0.25
"""The same view asked for again, over its first encoding: what is left is the hash of its pixels."""


def run() -> list[Entry]:
    """Time of prompts, of a batch and of an encoding asked for again, over that of an encoding."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        return [not_here("sam2: prompts in the time of an encoding", "the extra [models] is not installed")]
    import torch

    from rsagent_ros.segmenters.sam2 import open_sam2
    from rsagent_ros.segmenters.sam2_config import Sam2Config
    from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        save_tiny_sam2(Path(name) / "tiny")
        segmenter = open_sam2(Sam2Config(str(Path(name) / "tiny"), device="cpu"))
    segmenter.warm_up()
    frames = [frame(number) for number in range(ROUNDS)]
    boxes = [MaskPrompt.of(box=Box(40 * number, 50, 40 * number + 200, 400)) for number in range(PROMPTS)]
    encode = middle([partial(segmenter.encode, image) for image in frames])
    again = middle([partial(segmenter.encode, image) for image in frames])
    encoding = segmenter.encode(frames[0])
    prompt = middle([lambda: segmenter.masks(encoding, boxes[0])] * ROUNDS)
    batch = middle([lambda: segmenter.masks_batch(encoding, boxes)] * ROUNDS)
    note = f"tiny random network, {WIDTH} x {HEIGHT}, one thread"
    return [
        reported("sam2: prompts in the time of an encoding", encode / prompt, "", note),
        reported("sam2: the same, prompts in a batch", PROMPTS * encode / batch, "", f"{PROMPTS} boxes, {note}"),
        at_most("sam2: a view again over its encoding", again / encode, "", LIMIT_AGAIN, note),
    ]


def frame(number: int) -> NDArray[np.uint8]:
    """A frame that differs from those of other numbers."""
    return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def middle(calls: list[Callable[[], object]]) -> float:
    """Median of the seconds that the calls take."""
    seconds = []
    for call in calls:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
