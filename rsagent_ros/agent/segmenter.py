"""The second seam: the segmentation model, in the words of Segment Anything.

Encode a view once (expensive), then prompt it many times (cheap).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.actions import ToolSet
from rsagent_ros.agent.geometry import Box, Point

Encoding = TypeVar("Encoding")

BACKGROUND, FOREGROUND = 0, 1
"""Values of `MaskPrompt.point_labels`."""


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """One prompt, as `SAM2ImagePredictor.predict` takes it; coordinates are pixels of the encoded image.

    Coordinates run from 0 to the image's width or height, both ends included. Not hashable and never equal to another:
    it holds arrays.

    Attributes:
        point_coords: (N, 2) float64, x and y of each point.
        point_labels: (N,) int64, FOREGROUND (1) for a point on the object, BACKGROUND (0) for one beside it.
        box: (4,) float64 XYXY around the object, or None.
        mask_input: (h, w) float32, low-resolution logits of an earlier mask of this image at any resolution, to refine;
            > 0 is inside. None to start from nothing.

    Raises:
        ValueError: An array of another shape.
    """

    point_coords: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    point_labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    box: NDArray[np.float64] | None = None
    mask_input: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.point_coords.shape != (len(self.point_labels), 2):
            raise ValueError(
                f"point_coords are {self.point_coords.shape} and point_labels {self.point_labels.shape}; "
                "give (N, 2) coordinates and (N,) labels"
            )
        if self.box is not None and self.box.shape != (4,):
            raise ValueError(f"box is {self.box.shape}; give four numbers, x0, y0, x1, y1")

    @staticmethod
    def of(
        box: Box | None = None,
        positive: Sequence[Point] = (),
        negative: Sequence[Point] = (),
        mask_input: NDArray[np.float32] | None = None,
    ) -> MaskPrompt:
        """The prompt for the box and points of a tool call: positive points first, then negative ones."""
        points = (*positive, *negative)
        return MaskPrompt(
            np.array([(point.x, point.y) for point in points], np.float64).reshape(-1, 2),
            np.array([FOREGROUND] * len(positive) + [BACKGROUND] * len(negative), np.int64),
            None if box is None else np.array([box.x0, box.y0, box.x1, box.y1], np.float64),
            mask_input,
        )

    @property
    def multimask_output(self) -> bool:
        """Whether several masks are wanted, as for a single point: it may mean a part, an object or a group.

        A box, a second point or a mask to refine says which of them is meant: SAM's networks are trained to answer
        those with one mask (Segment Anything, appendix A).
        """
        return len(self.point_labels) == 1 and self.box is None and self.mask_input is None


@dataclass(frozen=True, eq=False)
class Candidate:
    """One mask that answers a prompt.

    Attributes:
        mask: (H, W) bool, the size of the encoded image.
        score: The segmenter's own estimate of its IoU, 0..1.
        logits: (h, w) float32 at a low resolution of the segmenter's choice, > 0 inside; a later `mask_input`.
    """

    mask: NDArray[np.bool_]
    score: float
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Detection:
    """One instance of what a phrase names.

    Attributes:
        box: Whole pixels of the encoded image, x0 < x1 and y0 < y1.
        part: (y1 - y0, x1 - x0) bool, the mask inside the box: two dozen whole masks would cost more than the turn.
        score: The segmenter's own estimate that this is an instance and that its mask is right, 0..1.
        stability: As in `evidence.stability`; 1 where the segmenter has no logits.
    """

    box: Box
    part: NDArray[np.bool_]
    score: float
    stability: float = 1.0


class Segmenter(Protocol, Generic[Encoding]):
    """A promptable segmentation model. Several episodes share it; not thread-safe unless the class says so."""

    @property
    def name(self) -> str:
        """The name that results and records show."""
        ...

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """Prepare a (H, W, 3) uint8 RGB image for prompts. Expensive: an episode calls it once for each distinct view.

        Raises:
            RunFailed: The goal can't go on (out of memory, model not loaded).
        """
        ...

    def masks(self, encoding: Encoding, prompt: MaskPrompt) -> list[Candidate]:
        """Candidates for one prompt, at least one, in any order; the caller picks by score.

        Where `prompt.multimask_output` is False, one candidate is enough.

        Raises:
            ToolFailed: This prompt can't be answered, another might.
            RunFailed: The goal can't go on.
        """
        ...


@runtime_checkable
class PhraseSegmenter(Segmenter[Encoding], Protocol[Encoding]):
    """A segmentation model that takes words, too: only with one of these is there a tool `find`."""

    def find(self, encoding: Encoding, phrase: str) -> list[Detection]:
        """Every instance of what a noun phrase names in the image, in any order; none is an answer like any other.

        Raises:
            ToolFailed: This phrase can't be looked for, another might.
            RunFailed: The goal can't go on.
        """
        ...


def tools_with(segmenter: Segmenter[Any], tools: ToolSet) -> ToolSet:
    """The tools that are left with a segmenter: all but `find` where it takes no words."""
    if isinstance(segmenter, PhraseSegmenter):
        return tools
    return tuple(name for name in tools if name != "find")
