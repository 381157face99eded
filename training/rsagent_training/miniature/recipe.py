"""What the miniature is made of; `config/training/miniature_*.yaml` has a small and a full one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rsagent_training.miniature.world import Lesson
from rsagent_training.recipes import Lora, load_recipe


@dataclass(frozen=True)
class Plan:
    """One part of the curriculum.

    Attributes:
        lesson: What the scenes are like.
        scenes: How many.
        epochs: Times that each is seen.
        learning_rate: Of this part.
    """

    lesson: Lesson
    scenes: int
    epochs: float
    learning_rate: float


@dataclass(frozen=True)
class Practice:
    """Reinforcement learning after the lessons.

    Attributes:
        scenes: How many there are to practise on.
        steps, batch, samples, learning_rate, beta: As in `GrpoRecipe` and `Optimisation`.
        lora: None trains all weights.
    """

    scenes: int
    steps: int
    batch: int = 8
    samples: int = 4
    learning_rate: float = 1e-4
    beta: float = 0.0
    lora: Lora | None = None


@dataclass(frozen=True)
class MiniatureRecipe:
    """All of it.

    Attributes:
        lessons: Curriculum of supervised training, in order.
        practice: Reinforcement learning.
        held_out: Scenes for evaluation, of the last lesson's kind and of a seed of their own.
        batch: Trajectories of one step of the lessons.
        control_epochs: Over the last lesson once more instead of practice, as a control; 0 for none.
        max_turns: Of an episode in practice and evaluation.
        max_reply_tokens: Of a reply there.
        seed: Of everything.
    """

    lessons: tuple[Plan, ...]
    practice: Practice
    held_out: int = 200
    batch: int = 16
    control_epochs: float = 0.0
    max_turns: int = 5
    max_reply_tokens: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.lessons:
            raise ValueError("lessons is empty; there must be at least one")
        if min(self.held_out, self.batch, self.practice.scenes, self.practice.steps) < 1:
            raise ValueError("held_out, batch, practice.scenes and practice.steps must be 1 or more")


def load(path: Path, changes: Iterable[str] = ()) -> MiniatureRecipe:
    """Read a recipe.

    Raises:
        ValueError: It can't be read, or holds what can't be; the message names the file.
    """
    return load_recipe(path, MiniatureRecipe, changes)
