"""`OneAtATime`: one segmentation model for the episodes of several threads."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.segmenter import Candidate, MaskPrompt, Segmenter


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
