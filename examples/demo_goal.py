"""A goal of the demo that has ended: the truth, the answer, and what the page and result.json say of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.ros.client.answer import Answer
from rsagent_ros.scoring.matching import MATCH_IOU
from rsagent_ros.viewer.page import Shown
from rsagent_ros.viewer.playback import TrackedFrame


@dataclass(frozen=True)
class EndedGoal:
    """A goal that was sent, and its answer.

    Attributes:
        example: The simulator's image, instruction and true masks.
        expected: How the goal has to end; CANCELED for the one that the demo cancels.
        answer: The agent's.
        facts: More to say about it on the page, by label.
        track: The object on later frames, if it was tracked.
    """

    example: Example
    expected: Outcome
    answer: Answer
    facts: dict[str, str] = field(default_factory=dict)
    track: tuple[TrackedFrame, ...] = ()

    @property
    def target(self) -> Mask | None:
        """(H, W) bool, the true masks together; None where there is nothing to find."""
        masks = self.example.masks
        return np.asarray(np.logical_or.reduce(masks), dtype=np.bool_) if masks else None

    @property
    def iou(self) -> float | None:
        """IoU with the simulator's truth; None where there is nothing to compare."""
        mask, target = self.answer.mask, self.target
        return None if mask is None or target is None else iou(mask, target)

    @property
    def right(self) -> bool | None:
        """Whether the answer is right; None where none was to be had: a goal that is canceled, an honest give-up."""
        if self.answer.outcome != self.expected:
            return False
        if self.expected in (Outcome.CANCELED, Outcome.GAVE_UP):
            return None
        return self.iou is None or self.iou >= MATCH_IOU

    def shown(self) -> Shown:
        """Its part of the page."""
        facts = {"expected": self.expected.value}
        if self.iou is not None:
            facts["IoU with the truth"] = f"{self.iou:.3f}"
        trace = Trace.from_json(self.answer.message.trace)
        return Shown(trace, self.example.image, facts | self.facts, self.right, self.track)

    def row(self, folder: str) -> dict[str, Any]:
        """Its entry in result.json."""
        return {
            "instruction": self.example.instruction,
            "outcome": self.answer.outcome,
            "expected": self.expected,
            "iou": None if self.iou is None else round(self.iou, 4),
            "confidence": None if self.answer.confidence is None else round(self.answer.confidence, 4),
            "turns": self.answer.message.turns,
            "seconds": round(self.answer.seconds, 3),
            "error_msg": self.answer.error_msg,
            "folder": folder,
        }
