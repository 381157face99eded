"""`Source`: what the tools ask, a robot's node or a picture file; and `GoalReport`, what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.mask import Mask


class SourceError(Exception):
    """Something that the caller can be told in one sentence: no agent, an unknown goal, no such camera."""


@dataclass(frozen=True, eq=False)
class GoalReport:
    """The facts about a goal that has ended, and its picture.

    Attributes:
        facts: Outcome, objects and so on, for JSON.
        image: (H, W, 3) uint8 RGB that was looked at; None where there was none.
        mask: (H, W) bool of all that was found, or fits; None for nothing.
    """

    facts: dict[str, Any]
    image: NDArray[np.uint8] | None
    mask: Mask | None


class Source(Protocol):
    """Something to ask. Its methods block; `ask` is called by one thread at a time, the others by any."""

    def ask(self, instruction: str, camera: str, follows: str, cancel: CancelToken) -> GoalReport:
        """Look for something.

        Args:
            instruction: What to look for, or the answer to a question.
            camera: Name of the camera; empty for the default.
            follows: Id of a goal whose question, or reason for giving up, the instruction answers; empty for none.
            cancel: Raised by another thread to end the goal.

        Raises:
            SourceError: It can't be asked.
        """
        ...

    def status(self) -> dict[str, Any]:
        """The state of the agent, for JSON."""
        ...

    def judge(self, goal_id: str, accepted: bool, absent: bool, note: str) -> None:
        """Tell the agent what was true about a goal.

        Raises:
            SourceError: It can't take verdicts, or refused this one.
        """
        ...

    def close(self) -> None:
        """Let go of models or connections."""
        ...
