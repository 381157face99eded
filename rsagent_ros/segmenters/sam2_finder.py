"""The PhraseSegmenter of a detector and SAM 2.1: the detector's boxes are prompts, one mask each.

    segmenter = open_sam2_finder(Sam2Config("models/sam2.1-hiera-large", finder="models/mm-grounding-dino-tiny"))

An instance has the detector's score; what SAM thinks of its mask is in its stability. Two boxes around one thing become
one instance.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from rsagent_ros.agent.evidence import stability
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.segmenter import Detection, MaskPrompt
from rsagent_ros.segmenters.detector import Detector, open_detector
from rsagent_ros.segmenters.instances import detection, distinct
from rsagent_ros.segmenters.sam2 import GREY, PROMPTS_AT_ONCE, Sam2Encoding, Sam2Segmenter, load_network
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_network import Sam2Network


class Sam2Finder(Sam2Segmenter):
    """A PhraseSegmenter over a detector and a network. Thread-safe: calls wait for one another."""

    def __init__(self, network: Sam2Network, detector: Detector, *, encodings_megabytes: float = 512.0) -> None:
        """Take both; nothing runs yet.

        Args:
            network: The network that draws.
            detector: The network that takes words.
            encodings_megabytes: Most memory for encodings of the former, of all episodes together.
        """
        super().__init__(network, encodings_megabytes=encodings_megabytes)
        self._detector = detector

    @property
    def name(self) -> str:
        """Architectures and checkpoints."""
        return f"{super().name}+{self._detector.name}"

    def find(self, encoding: Sam2Encoding, phrase: str) -> list[Detection]:
        """Every instance of what a phrase names, the surest first; none is an answer like any other.

        Raises:
            ToolFailed: The phrase is empty, too long or unknown, or a network answered with what is not a number.
            RunFailed: OUT_OF_MEMORY.
        """
        boxes, scores = self._run(partial(self._detector.find, encoding.image, phrase))
        found: list[Detection] = []
        logits: list[np.ndarray] = []
        for first in range(0, len(boxes), PROMPTS_AT_ONCE):
            part = slice(first, first + PROMPTS_AT_ONCE)
            prompts = [MaskPrompt.of(Box(*box)) for box in boxes[part].tolist()]
            for (drawn,), score in zip(self.masks_batch(encoding, prompts), scores[part].tolist(), strict=True):
                one = detection(drawn.mask, score, stability(drawn.logits))
                if one is not None:
                    found.append(one)
                    logits.append(drawn.logits)
        if not found:
            return []
        inside = torch.from_numpy(np.stack(logits)) > 0
        return [found[index] for index in distinct(torch.tensor([one.score for one in found]), inside)]

    def warm_up(self) -> None:
        """Also look for something, in that grey image.

        Raises:
            RunFailed: OUT_OF_MEMORY.
        """
        self._run(partial(self._detector.find, GREY, "object"))
        super().warm_up()


def open_sam2_finder(config: Sam2Config) -> Sam2Finder:
    """Load a segmenter and its finder; blocks while they load, and downloads nothing.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: a checkpoint or the device can't be used; one sentence says why. OUT_OF_MEMORY.
    """
    return Sam2Finder(load_network(config), open_detector(config), encodings_megabytes=config.encodings_megabytes)
