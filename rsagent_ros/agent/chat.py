"""The chat between the agent and a policy: text and images in, text out, append-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["system", "user", "assistant"]

PictureKind = Literal["view", "overlay", "marks"]
"""`view`: a clean crop of the frame. `overlay`: the same with a mask on it. `marks`: with several, numbered."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image in the chat.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, read-only.
        kind: What it shows; `pictures.PictureFormat` says at which size.
    """

    pixels: NDArray[np.uint8]
    kind: PictureKind


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its parts are in the order in which a model reads them."""

    role: Role
    parts: tuple[Text | Picture, ...]

    @property
    def text(self) -> str:
        """Text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Pictures, in order."""
        return tuple(part for part in self.parts if isinstance(part, Picture))
