"""Example: an instruction about an image, and what is true of it. The unit of evaluation and of training."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.data.camera import PinholeCamera

MAX_ID = 120
EXPECTED = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS)


@dataclass(frozen=True, eq=False)
class PngFile:
    """A PNG that an example was read from, so that a copy of the example can be a hard link.

    Attributes:
        path: Of the file.
        pixels: The very array that was read: another one, though it be equal, is not this file's.
    """

    path: Path
    pixels: NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Example:
    """An instruction about an image, and what is true of it.

    Records, bags, the simulator, published data sets and one's own masks all come in this form.

    Attributes:
        id: Unique in its data set; letters, digits, '.', '_' and '-', so that it can name files.
        image: (H, W, 3) uint8 RGB. Truth that comes as masks alone has `blank_image` here.
        instruction: What to look for, in words; empty where there are only masks to compare.
        expected: FOUND, NOT_IN_VIEW or AMBIGUOUS; None where nobody has said what is true.
        masks: (H, W) bool each, none empty. FOUND: one for each instance asked for; AMBIGUOUS: all that fit, two or
            more; otherwise none.
        previous: Earlier instructions and the questions they led to, oldest first.
        ignore: (H, W) bool, pixels that count neither for nor against an answer; None for no such pixels.
        depth: (H, W) float32 metres along the optical axis, NaN where unknown; None without a depth image.
        camera: Of the image; None where unknown.
        source: Origin, in words.
        split: Of its data set, such as `val`; empty for none.
        tags: Kinds of instruction it belongs to; tables go by the first.
        remarks: What is odd about it though it is used; each one clause.
        self_judged: The masks are the agent's own, which somebody accepted but did not draw.
        stamp_ns: Of the image, nanoseconds since 1970, UTC; 0 where unknown.
        place: Where it was seen, by any name; empty where unknown.
        files: PNGs that image and depth were read from, of a folder of examples.

    Raises:
        ValueError: The parts contradict each other.
    """

    id: str
    image: NDArray[np.uint8]
    instruction: str
    expected: Outcome | None
    masks: tuple[Mask, ...] = ()
    _: KW_ONLY
    previous: tuple[Exchange, ...] = ()
    ignore: Mask | None = None
    depth: NDArray[np.float32] | None = None
    camera: PinholeCamera | None = None
    source: str = ""
    split: str = ""
    tags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    self_judged: bool = False
    stamp_ns: int = 0
    place: str = ""
    files: tuple[PngFile, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_id(self.id)
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            self._refuse(f"the image is {self.image.shape} {self.image.dtype}, not (height, width, 3) uint8")
        if self.expected not in (*EXPECTED, None):
            self._refuse(f"expected is {self.expected}; it must be one of {', '.join(EXPECTED)}, or None for unknown")
        fits = {Outcome.FOUND: len(self.masks) >= 1, Outcome.AMBIGUOUS: len(self.masks) >= 2}
        if not fits.get(self.expected or Outcome.NOT_IN_VIEW, not self.masks):
            self._refuse(f"{len(self.masks)} masks do not fit the expected outcome {self.expected}")
        if self.self_judged and not self.masks:
            self._refuse("it has no mask that the agent could have drawn, and is marked as self-judged")
        if "" in self.tags:
            self._refuse("one of its tags is empty")
        named = [(f"mask {number}", mask) for number, mask in enumerate(self.masks, 1)]
        for name, pixels in (*named, ("the ignore mask", self.ignore), ("depth", self.depth)):
            if pixels is not None and pixels.shape != self.shape:
                self._refuse(f"{name} is {_size(pixels.shape)}, the image {_size(self.shape)} pixels")
        for name, mask in named:
            if not mask.any():
                self._refuse(f"{name} is empty; what is not in view has no mask")
        if self.camera is not None and (self.camera.height, self.camera.width) != self.shape:
            size = _size((self.camera.height, self.camera.width))
            self._refuse(f"the camera is of {size}, the image of {_size(self.shape)} pixels")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def require_expected(self) -> Outcome:
        """The expected outcome.

        Raises:
            ValueError: Nobody has said what is true.
        """
        if self.expected is None:
            raise ValueError(f"example {self.id}: nobody has said what is true, so that no answer can be judged by it")
        return self.expected

    @property
    def present(self) -> bool:
        """Whether something that fits the instruction is known to be in view."""
        return bool(self.masks)

    @property
    def category(self) -> str:
        """The first tag; empty without one."""
        return self.tags[0] if self.tags else ""

    @property
    def target(self) -> Mask | None:
        """(H, W) bool, all masks together; None where there is nothing to find."""
        return np.logical_or.reduce(self.masks) if self.masks else None

    def _refuse(self, contradiction: str) -> None:
        raise ValueError(f"example {self.id}: {contradiction}")


def blank_image(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A black (H, W, 3) uint8 image that takes no memory, read-only: for truth that comes without an image."""
    return np.broadcast_to(np.uint8(0), (*shape, 3))


def check_id(name: str) -> str:
    """The id itself, when it is one that can name a file.

    Raises:
        ValueError: It is not.
    """
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{1,{MAX_ID}}}", name) or name.startswith("."):
        raise ValueError(f"id {name[:MAX_ID]!r}: use letters, digits, '.', '_' and '-', at most {MAX_ID}")
    return name


def as_id(text: str) -> str:
    """A name from elsewhere as an id: what is not allowed becomes '-'.

    Raises:
        ValueError: Nothing is left of it.
    """
    return check_id(re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip(".")[:MAX_ID])


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}" if len(shape) == 2 else f"of {len(shape)} dimensions"
