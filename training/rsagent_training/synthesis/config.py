"""Settings of `rsagent synthesize`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rsagent_ros.agent.outcome import Outcome
from rsagent_training.expert.config import ExpertConfig


@dataclass(frozen=True)
class SynthesisConfig:
    """Settings of a teacher's episodes, and limits of the filters.

    Attributes:
        per_scene: Episodes on each scene, each with another seed.
        budget_turns: Turns that an episode may take; told to the teacher as `turns_left`.
        budget_seconds: Of one episode, steady clock.
        min_iou: Least IoU of the final mask. The paper's filter is 0.9.
        max_turns: Most turns of an episode that is kept. The paper's filter is 8.
        match_iou: Least IoU of each candidate of an AMBIGUOUS answer with the thing it stands for.
        duplicate_grain: Calls whose coordinates agree to this many units of the chat count as the same.
        balanced: Cut outcomes that have more than their share below, and keep turn counts as even as they can be.
        found, not_in_view, ambiguous: Shares of the outcomes; those that do not occur are left out of account.
        most: Trajectories at most; 0 for as many as the balance allows.
        expert: How the scripted expert goes about it.

    Raises:
        ValueError: A value that can't be; the message says what can.
    """

    per_scene: int = 1
    budget_turns: int = 8
    budget_seconds: float = 120.0
    min_iou: float = 0.9
    max_turns: int = 8
    match_iou: float = 0.8
    duplicate_grain: int = 20
    balanced: bool = True
    found: float = 0.7
    not_in_view: float = 0.15
    ambiguous: float = 0.15
    most: int = 0
    expert: ExpertConfig = field(default_factory=ExpertConfig)

    def __post_init__(self) -> None:
        for name in ("per_scene", "budget_turns", "max_turns", "duplicate_grain"):
            if getattr(self, name) < 1:
                raise ValueError(f"synthesis: {name} is {getattr(self, name)}; it must be 1 or more")
        if not (math.isfinite(self.budget_seconds) and self.budget_seconds > 0) or self.most < 0:
            raise ValueError(
                f"synthesis: budget_seconds is {self.budget_seconds} and most {self.most}; "
                "they must be more than 0, and 0 or more"
            )
        for name in ("min_iou", "match_iou", *map(str, self.shares)):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"synthesis: {name} is {getattr(self, name)}; it must be 0 to 1")
        if not any(self.shares.values()):
            raise ValueError("synthesis: found, not_in_view and ambiguous are all 0; let at least one be more")

    @property
    def shares(self) -> dict[Outcome, float]:
        """Share of each outcome."""
        return {
            Outcome.FOUND: self.found, Outcome.NOT_IN_VIEW: self.not_in_view, Outcome.AMBIGUOUS: self.ambiguous,
        }  # fmt: skip
