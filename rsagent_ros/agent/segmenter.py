"""The second seam: who draws masks. Encode a view once (dear), then prompt it many times (cheap)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box, Point

Encoding = TypeVar("Encoding")


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """Where the thing is, in pixels of the encoded image: 0 to its width or height, both ends included.

    Attributes:
        box: A box around it.
        positive: Points on it.
        negative: Points not on it.
        prior: (h, w) float32 logits of an earlier mask of this image at any resolution, to refine; > 0 is inside.
    """

    box: Box | None = None
    positive: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    prior: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """One answer to a prompt.

    Attributes:
        mask: (H, W) bool, the size of the encoded image.
        score: The segmenter's own estimate of its IoU, 0..1.
        logits: (h, w) float32, > 0 inside, at a resolution of the segmenter's choice; fit to be a later `prior`.
    """

    mask: NDArray[np.bool_]
    score: float
    logits: NDArray[np.float32]


class Segmenter(Protocol, Generic[Encoding]):
    """Who draws masks. Used by several episodes, not by several threads at a time unless the class says so."""

    @property
    def name(self) -> str:
        """What results and records call it."""
        ...

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """Prepare a (H, W, 3) uint8 RGB image for prompts. Dear: the episode calls it once for each distinct view.

        Raises:
            RunFailed: The goal can't go on (out of memory, model not loaded).
        """
        ...

    def masks(self, encoding: Encoding, prompt: MaskPrompt) -> list[Candidate]:
        """Candidates for one prompt, at least one, best or not first; the caller picks by score.

        Raises:
            ToolFailed: This prompt can't be answered, another might.
            RunFailed: The goal can't go on.
        """
        ...
