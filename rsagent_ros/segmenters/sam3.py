"""The PhraseSegmenter over SAM 3: words to instances, and boxes, points and masks as with SAM 2.

    segmenter = open_sam3(Sam3Config("models/sam3"))     # a folder as `rsagent models fetch` makes it
    segmenter.find(segmenter.encode(image), "red mug")

The image encoder runs once for an image, whatever is asked about it. Scores of instances are the detector's: that the
thing is there at all, times that this is one.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from rsagent_ros.agent.evidence import stability
from rsagent_ros.agent.segmenter import Detection
from rsagent_ros.segmenters.instances import detection, distinct, to_full_size
from rsagent_ros.segmenters.sam2 import GREY, Sam2Encoding, Sam2Segmenter
from rsagent_ros.segmenters.sam3_config import Sam3Config
from rsagent_ros.segmenters.transformers_sam3 import TransformersSam3


class Sam3Segmenter(Sam2Segmenter):
    """A PhraseSegmenter over SAM 3. Thread-safe: calls wait for one another."""

    def __init__(self, network: TransformersSam3, *, encodings_megabytes: float = 1024.0) -> None:
        """Take a network; nothing runs yet.

        Args:
            network: The network, on its device.
            encodings_megabytes: Most memory for encodings, of all episodes together.
        """
        super().__init__(network, encodings_megabytes=encodings_megabytes)
        self._words = network

    def find(self, encoding: Sam2Encoding, phrase: str) -> list[Detection]:
        """Every instance of what a phrase names, the surest first; none is an answer like any other.

        Raises:
            ToolFailed: The phrase is empty or too long, or the network answered with something that is not a number.
            RunFailed: OUT_OF_MEMORY.
        """
        return self._run(partial(self._instances, encoding, phrase))

    def warm_up(self) -> None:
        """Also look for something, in that grey image.

        Raises:
            RunFailed: OUT_OF_MEMORY.
        """
        self.find(self.encode(GREY), "object")
        super().warm_up()

    def _instances(self, encoding: Sam2Encoding, phrase: str) -> list[Detection]:
        scores, logits = self._words.find(self._features(encoding), phrase)
        kept = distinct(scores, logits > 0)
        if not kept:
            return []
        masks = to_full_size(logits[kept].sigmoid(), encoding.size)
        found = [
            detection(mask, score, stability(low))
            for mask, score, low in zip(
                masks, scores[kept].tolist(), np.asarray(logits[kept].cpu().numpy()), strict=True
            )
        ]
        return [one for one in found if one is not None]


def open_sam3(config: Sam3Config) -> Sam3Segmenter:
    """Load a segmenter; blocks while it loads, and downloads nothing.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the checkpoint or the device can't be used; one sentence says why. OUT_OF_MEMORY.
    """
    return Sam3Segmenter(TransformersSam3.load(config), encodings_megabytes=config.encodings_megabytes)
