"""Slips of a reply: what it costs a model nothing to mean, and the strict form does not have.

An episode reads them all, notes them in its turn, and so they count against the format of a reply wherever one is
measured or rewarded. Nothing is guessed: each slip has one meaning, or it is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, get_args

Slip = Literal["code_fence", "unclosed_call", "reversed_box", "box_name"]
"""`code_fence`: Markdown's fence around the call. `unclosed_call`: a whole call at the end of a reply, without its
closing tag. `reversed_box`: corners in another order. `box_name`: the name of a box in the model's own training."""

SLIPS: tuple[Slip, ...] = get_args(Slip)

_FENCED = re.compile(r"\s*```[A-Za-z]*\s(.*?)\s*```\s*", re.DOTALL)
_FENCE_OPENS = re.compile(r"```[A-Za-z]*\s*\Z")


class Slips:
    """Slips of one reply: those that may be read, and those that were.

    Attributes:
        found: In the order in which they were come upon, each once.
    """

    def __init__(self, readable: Collection[Slip]) -> None:
        self.found: tuple[Slip, ...] = ()
        self._readable = readable

    def reads(self, slip: Slip) -> bool:
        """Whether such a slip is read here; it is noted then."""
        if slip not in self._readable:
            return False
        if slip not in self.found:
            self.found += (slip,)
        return True


def without_fence(text: str) -> str | None:
    """The text within a code fence; None where there is no fence around all of it."""
    fenced = _FENCED.fullmatch(text)
    return None if fenced is None else fenced[1]


def is_in_fence(before: str, after: str) -> bool:
    """Whether a fence begins right before something and ends right after it."""
    return after.strip() == "```" and _FENCE_OPENS.search(before) is not None


def without_beginning_of(tag: str, text: str) -> str:
    """The text without what it has of a tag at its end: a stream may be cut within one."""
    stripped = text.rstrip()
    for length in range(len(tag) - 1, 0, -1):
        if stripped.endswith(tag[:length]):
            return stripped[:-length]
    return text
