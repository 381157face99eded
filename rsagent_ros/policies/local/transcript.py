"""One conversation as a model reads it: token ids, which of them it sampled itself, positions and pictures.

Append-only, so that what a model has read stays a prefix of what it will read. Text is tokenised once, when it comes;
sampled ids are kept as they are, because decoding and encoding them again gives others. Training builds its labels
with the same class: `append_messages` of a turn, `append_reply` with the recorded ids. No neural network in here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.chat import Message, Picture, Text
from rsagent_ros.agent.pictures import resized
from rsagent_ros.policies.family import Family
from rsagent_ros.policies.local.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A picture among the tokens.

    Attributes:
        start: Index of the first of its tokens, which follow one another row by row.
        rows, columns: Of its tokens.
        pixels: (h, w, 3) uint8 RGB.
    """

    start: int
    rows: int
    columns: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A transcript laid out for a model.

    Attributes:
        ids: Every token.
        sampled: For each, whether the model sampled it; the rest is prompt, and nothing to learn from.
        positions: (3, tokens) int64, for M-RoPE: time, row and column.
        pictures: In order.
    """

    ids: list[int]
    sampled: list[bool]
    positions: NDArray[np.int64]
    pictures: list[Placed]


@dataclass(frozen=True, slots=True)
class _Words:
    ids: list[int]
    sampled: bool


class Transcript:
    """One conversation, from the system prompt to the reply that is due."""

    def __init__(self, vocabulary: Vocabulary, family: Family) -> None:
        self._vocabulary = vocabulary
        self._family = family
        self._pieces: list[_Words | Picture] = []
        self._reply_due = False
        self._halved = False
        self._smaller = False

    def append_messages(self, messages: Sequence[Message]) -> None:
        """Append messages, and the beginning of the reply to them; closes the reply before.

        Without messages nothing happens where that reply is due already.

        Raises:
            ValueError: A picture whose sides do not fit the family.
        """
        if self._reply_due and not messages:
            return
        self._close_reply()
        for message in messages:
            self._frame(self._vocabulary.message_start)
            text = f"{message.role}\n"
            for part in message.parts:
                if isinstance(part, Text):
                    # Joined before it is tokenised, as a template would: tokens may span the parts.
                    text += part.text
                    continue
                self._write(text)
                self._frame(self._vocabulary.picture_start)
                self._show(part)
                self._frame(self._vocabulary.picture_end)
                text = ""
            self._write(text)
            self._frame(self._vocabulary.message_end)
            self._write("\n")
        self._frame(self._vocabulary.message_start)
        self._write("assistant\n")
        self._reply_due = True

    def append_reply(self, ids: Sequence[int]) -> None:
        """Append the sampled ids of a reply, just as they were sampled."""
        self._pieces.append(_Words(list(ids), sampled=True))

    def halve_pictures(self) -> bool:
        """Show pictures with half their pixels; returns whether any became smaller.

        Where coordinates are thousandths those are all pictures, those to come too. Where they are pixels, clean
        pictures and the newest one stay, and so do those to come: the numbers would mean something else.
        """
        before = sum(picture.pixels.size for picture in self._pictures)
        newest = len(self._pieces)
        if self._family.coordinates == "pixels":
            newest = max((at for at, piece in enumerate(self._pieces) if isinstance(piece, Picture)), default=0)
        self._halved = True
        self._pieces = [
            self._halve(piece) if isinstance(piece, Picture) and at != newest else piece
            for at, piece in enumerate(self._pieces)
        ]
        return sum(picture.pixels.size for picture in self._pictures) < before

    @property
    def picture_sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height in pixels of every picture as the model sees it; empty where that is as it was drawn."""
        if not self._smaller:
            return ()
        return tuple((picture.pixels.shape[1], picture.pixels.shape[0]) for picture in self._pictures)

    def layout(self) -> Layout:
        """The whole chat, as a model takes it. New lists on every call."""
        ids: list[int] = []
        sampled: list[bool] = []
        positions: list[NDArray[np.int64]] = []
        pictures: list[Placed] = []
        position = 0
        for piece in self._pieces:
            if isinstance(piece, _Words):
                count = len(piece.ids)
                ids += piece.ids
                sampled += [piece.sampled] * count
                positions.append(np.broadcast_to(np.arange(position, position + count), (3, count)))
                position += count
            else:
                rows, columns = (side // self._family.multiple for side in piece.pixels.shape[:2])
                pictures.append(Placed(len(ids), rows, columns, piece.pixels))
                ids += [self._vocabulary.picture] * (rows * columns)
                sampled += [False] * (rows * columns)
                # Time stands still, rows and columns count; what follows goes on after the longer side.
                grid = np.stack(np.broadcast_arrays(0, *np.indices((rows, columns))))
                positions.append(grid.reshape(3, -1) + position)
                position += max(rows, columns)
        return Layout(ids, sampled, np.concatenate(positions, axis=1), pictures)

    def _close_reply(self) -> None:
        """The end of a message, as far as the model did not sample it itself."""
        if not self._reply_due:
            return
        last = self._pieces[-1]
        if not (isinstance(last, _Words) and last.sampled and last.ids[-1:] == [self._vocabulary.message_end]):
            self._frame(self._vocabulary.message_end)
        self._write("\n")
        self._reply_due = False

    def _frame(self, token: int) -> None:
        self._pieces.append(_Words([token], sampled=False))

    def _write(self, text: str) -> None:
        self._pieces.append(_Words(self._vocabulary.encode(text), sampled=False))

    @property
    def _pictures(self) -> list[Picture]:
        return [piece for piece in self._pieces if isinstance(piece, Picture)]

    def _show(self, picture: Picture) -> None:
        height, width = picture.pixels.shape[:2]
        self._family.picture_tokens(width, height)  # refuses sides that do not fit
        smaller = self._halved and self._family.coordinates == "thousandths"
        self._pieces.append(self._halve(picture) if smaller else picture)

    def _halve(self, picture: Picture) -> Picture:
        if self._family.coordinates == "pixels" and picture.kind == "view":
            return picture
        side = self._family.multiple
        height, width = (max(side, math.floor(n / math.sqrt(2) / side) * side) for n in picture.pixels.shape[:2])
        smaller = resized(picture, width, height)
        self._smaller |= smaller is not picture
        return smaller
