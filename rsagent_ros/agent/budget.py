"""The limits of an episode, on a steady clock, and the token that cancels it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

MOST_VOTES = 16
"""Episodes of one goal."""


class CancelToken:
    """A flag that any thread may raise and that stays raised. Waiting on it wakes at once."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Raise the flag. Idempotent, thread-safe."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the flag is raised."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Block until the flag is raised or the time is over; returns whether it is raised."""
        return self._event.wait(seconds)


@dataclass(frozen=True)
class Budget:
    """Limits of one goal, and how carefully it is answered.

    Attributes:
        seconds: From the episode's start to its result, steady clock. A tf buffer holds 10 s by default: 8 leaves room.
        max_turns: Replies, bad ones included. The paper found that more than 8 hurts.
        max_reply_tokens: Tokens of one reply; it is cut there before it enters the chat.
        max_tokens: Sampled tokens of all replies together.
        second_look: Before FOUND each mask of the answer is shown to a fresh conversation (see `verification`). That
            spends seconds and tokens of this budget, but no turn; an answer that is sent back has spent its turn.
        second_look_below: Only answers whose least sure mask has a confidence below this are looked at again; 1: all.
        cross_check: A second look also compares with what the other way of looking finds (see `other_way`).
        votes: Most episodes of the goal, which vote on its answer (see `voting`); each has turns and tokens of its own.
        votes_seconds: Most time that the first answer waits for the others.

    Raises:
        ValueError: A limit that is not positive, or more votes than MOST_VOTES.
    """

    seconds: float = 8.0
    max_turns: int = 8
    max_reply_tokens: int = 512
    max_tokens: int = 4096
    second_look: bool = False
    second_look_below: float = 1.0
    cross_check: bool = False
    votes: int = 1
    votes_seconds: float = 5.0

    def __post_init__(self) -> None:
        for name in (
            "seconds",
            "max_turns",
            "max_reply_tokens",
            "max_tokens",
            "second_look_below",
            "votes",
            "votes_seconds",
        ):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"budget: {name} is {value}; it must be greater than 0")
        if self.votes > MOST_VOTES:
            raise ValueError(f"budget: votes is {self.votes}; at most {MOST_VOTES} are counted")

    def deadline(self) -> float:
        """`time.monotonic()` at which an episode that starts now has spent its seconds."""
        return time.monotonic() + self.seconds
