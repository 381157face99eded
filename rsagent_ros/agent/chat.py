"""The chat between the agent and a policy: text and images in, text out, append-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image in the chat.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, read-only.
        kind: `view` is a clean crop of the frame, scaled as a whole; `overlay` is a square with the current mask on
            it, letterboxed (the view's pixels at the top left, black to the right or below).
    """

    pixels: NDArray[np.uint8]
    kind: Literal["view", "overlay"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its parts are in the order in which a model reads them."""

    role: Role
    parts: tuple[Text | Picture, ...]

    @property
    def text(self) -> str:
        """Its text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Its images."""
        return tuple(part for part in self.parts if isinstance(part, Picture))


def to_bytes(messages: list[Message]) -> bytes:
    """An unambiguous form of a chat, for comparing: turn k's is a prefix of turn k + 1's."""
    out = bytearray()
    for message in messages:
        out += f"{message.role} {len(message.parts)}\n".encode()
        for part in message.parts:
            body = part.text.encode("utf-8", "surrogatepass") if isinstance(part, Text) else part.pixels.tobytes()
            kind = "text" if isinstance(part, Text) else f"{part.kind} {part.pixels.shape}"
            out += f"{kind} {len(body)}\n".encode() + body
    return bytes(out)
