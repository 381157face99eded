"""What is asked and what is true: a Sample, its Truth, and how a dataset lists them without loading them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.data.scene import EXPECTED

MAX_ID = 120


@dataclass(frozen=True, eq=False)
class Truth:
    """What is right for one sample.

    Attributes:
        id: Unique in its dataset; letters, digits, '.', '_' and '-', so that it can name files.
        shape: (height, width) of the image in pixels.
        expected: FOUND, NOT_IN_VIEW or AMBIGUOUS.
        masks: (H, W) bool each. FOUND: the instances that were asked for; AMBIGUOUS: all that fit, two or more;
            NOT_IN_VIEW: none.
        ignore: (H, W) bool, pixels that count neither for nor against an answer; None for no such pixels.
        category: For tables by category.
        source: Where it comes from, in words.
        remarks: What is odd about it, though it is used; each one sentence.

    Raises:
        ValueError: The parts contradict each other.
    """

    id: str
    shape: tuple[int, int]
    expected: Outcome
    masks: tuple[Mask, ...]
    ignore: Mask | None = None
    category: str = ""
    source: str = ""
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_id(self.id)
        if self.expected not in EXPECTED:
            raise ValueError(f"expected is {self.expected}; it must be one of {', '.join(EXPECTED)}")
        least = {Outcome.FOUND: 1, Outcome.AMBIGUOUS: 2}.get(self.expected, 0)
        if len(self.masks) < least or (least == 0 and self.masks):
            raise ValueError(f"{len(self.masks)} masks do not fit the expected outcome {self.expected}")
        for number, mask in enumerate(self.masks, 1):
            if mask.shape != self.shape:
                raise ValueError(f"mask {number} is {_size(mask.shape)}, the image {_size(self.shape)} pixels")
            if not mask.any():
                raise ValueError(f"mask {number} is empty; what is not in view has no mask")
        if self.ignore is not None and self.ignore.shape != self.shape:
            raise ValueError(f"the ignore mask is {_size(self.ignore.shape)}, the image {_size(self.shape)} pixels")

    @property
    def present(self) -> bool:
        """Whether the target can be seen."""
        return self.expected is not Outcome.NOT_IN_VIEW


@dataclass(frozen=True, eq=False)
class Sample:
    """One question about one image.

    Attributes:
        truth: Its answer.
        image: (H, W, 3) uint8 RGB.
        instruction: What to look for, in words.
        previous: What was said about it before, where the instruction answers a question.
    """

    truth: Truth
    image: NDArray[np.uint8]
    instruction: str
    previous: tuple[Exchange, ...] = ()

    def __post_init__(self) -> None:
        if self.image.shape[:2] != self.truth.shape:
            raise ValueError(f"the image is {_size(self.image.shape)}, its truth {_size(self.truth.shape)} pixels")


@dataclass(frozen=True, eq=False)
class Listed:
    """A sample that a dataset has, not loaded yet.

    Attributes:
        id: Of the sample.
        place: Where it stands: file and line, or file and entry.
        load: Reads image and masks. Raises ValueError or OSError that says what is wrong.
    """

    id: str
    place: str
    load: Callable[[], Sample] = field(repr=False)


@dataclass(frozen=True)
class Skipped:
    """A sample that can't be used, and so is not in any number.

    Attributes:
        id: As far as known; else empty.
        place: Where it stands.
        reason: What is wrong, one clause.
        fault: Something is wrong with the data; False where a record simply has no verdict, and so no truth.
    """

    id: str
    place: str
    reason: str
    fault: bool = True


def check_id(name: str) -> str:
    """The id itself, when it is one that can name a file.

    Raises:
        ValueError: It is not.
    """
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{MAX_ID}}}", name) or name.startswith("."):
        raise ValueError(f"id {name[:MAX_ID]!r}: use letters, digits, '.', '_' and '-', at most {MAX_ID}")
    return name


def as_id(text: str) -> str:
    """A name from elsewhere as an id: what is not allowed becomes '-'."""
    return check_id(re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip(".")[:MAX_ID])


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
