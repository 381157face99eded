"""Evidence that costs segmenter calls: does the mask stay the same when its prompt moves a little?"""

from __future__ import annotations

from typing import Any

import numpy as np

from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, bounding_box, iou
from rsagent_ros.agent.segmenter import MaskPrompt, Segmenter

TRIES = 4
MOVED = 0.06
"""By how much each side of the box moves at most, relative to the box."""


def prompt_stability(segmenter: Segmenter[Any], encoding: Any, mask: Mask, tries: int = TRIES) -> float:
    """Mean IoU of a mask with those that its own box, slightly moved, gives; 0..1. The same mask gives the same number.

    Blocks for `tries` prompts, without encoding again.

    Args:
        segmenter: Who draws.
        encoding: By the same segmenter, of the whole frame.
        mask: (H, W) bool, not empty.
        tries: How many moved prompts.

    Raises:
        ValueError: An empty mask.
        RunFailed: The segmenter can't go on.
    """
    box = bounding_box(mask)
    if box is None:
        raise ValueError("the mask is empty; there is nothing whose stability could be asked for")
    moves = np.random.default_rng(0).uniform(-MOVED, MOVED, (tries, 4)) * [box.width, box.height, box.width, box.height]
    overlaps = []
    for x0, y0, x1, y1 in moves:
        prompt = MaskPrompt(box=Box(box.x0 + x0, box.y0 + y0, box.x1 + x1, box.y1 + y1))
        try:
            candidates = segmenter.masks(encoding, prompt)
        except ToolFailed:  # a prompt that gives nothing is as unstable as can be
            overlaps.append(0.0)
            continue
        best = max(candidates, key=lambda candidate: candidate.score)
        overlaps.append(iou(best.mask, mask))
    return float(np.mean(overlaps))
