"""Settings of `rsagent questions`."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class QuestionsConfig:
    """Settings of the writer and the solver, and limits of the filters.

    Attributes:
        per_scene: Questions asked for about each thing.
        writer_family: `model_type` of the model that writes; it decides the sizes of the pictures it is shown.
        writer_temperature: Of its sampling.
        writer_tokens: Of its reply at most.
        writer_seconds: For its reply.
        seed: Of its sampling: scene n is asked with seed + n.
        alike: Two questions about one picture whose words overlap by this share count as the same.
        repeats: How often one wording may occur in the whole set.
        tries: Episodes in which the solver tries each question.
        least_solved, most_solved: Kept are questions that it solves this often: sometimes, but not always.
        solved_iou: From which IoU on an answer counts as solved.
        budget_turns, budget_seconds: Of each try.

    Raises:
        ValueError: A value that can't be; the message says what can.
    """

    per_scene: int = 3
    writer_family: str = "qwen2_5_vl"
    writer_temperature: float = 0.8
    writer_tokens: int = 1024
    writer_seconds: float = 120.0
    seed: int = 0
    alike: float = 0.75
    repeats: int = 3
    tries: int = 4
    least_solved: int = 1
    most_solved: int = 3
    solved_iou: float = 0.5
    budget_turns: int = 8
    budget_seconds: float = 120.0

    def __post_init__(self) -> None:
        for name in ("per_scene", "writer_tokens", "repeats", "tries", "budget_turns"):
            if getattr(self, name) < 1:
                raise ValueError(f"questions: {name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("writer_seconds", "budget_seconds"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"questions: {name} is {getattr(self, name)}; it must be more than 0")
        for name in ("alike", "solved_iou"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"questions: {name} is {getattr(self, name)}; it must be over 0 and at most 1")
        if not 0 <= self.least_solved <= self.most_solved <= self.tries:
            raise ValueError(
                f"questions: least_solved is {self.least_solved}, most_solved {self.most_solved} and tries "
                f"{self.tries}; they must not fall in this order"
            )
