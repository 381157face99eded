"""`one_at_a_time`: one segmentation model for the episodes of several threads."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.segmenter import Candidate, Detection, MaskPrompt, PhraseSegmenter, Segmenter


class OneAtATime:
    """A segmenter for any number of threads: calls wait for each other."""

    def __init__(self, segmenter: Segmenter[Any]) -> None:
        """Lend a segmenter out; nobody else may call it meanwhile."""
        self.name = segmenter.name
        self._segmenter = segmenter
        self._lock = Lock()

    def encode(self, image: NDArray[np.uint8]) -> Any:
        """Encode, once no other call runs."""
        with self._lock:
            return self._segmenter.encode(image)

    def masks(self, encoding: Any, prompt: MaskPrompt) -> list[Candidate]:
        """Segment, once no other call runs."""
        with self._lock:
            return self._segmenter.masks(encoding, prompt)


class PhrasesOneAtATime(OneAtATime):
    """The same for one that takes words, too."""

    def __init__(self, segmenter: PhraseSegmenter[Any]) -> None:
        """Lend it out."""
        super().__init__(segmenter)
        self._finder = segmenter

    def find(self, encoding: Any, phrase: str) -> list[Detection]:
        """Find, once no other call runs."""
        with self._lock:
            return self._finder.find(encoding, phrase)


def one_at_a_time(segmenter: Segmenter[Any]) -> Segmenter[Any]:
    """The segmenter for any number of threads; it takes words where the one that is lent out does."""
    return PhrasesOneAtATime(segmenter) if isinstance(segmenter, PhraseSegmenter) else OneAtATime(segmenter)
