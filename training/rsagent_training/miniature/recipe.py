"""Recipe of the miniature; `config/training/miniature.yaml` is the full one, `miniature_smoke.yaml` CI's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rsagent_ros.yaml_file import read_yaml
from rsagent_training.miniature.world import Lesson
from rsagent_training.recipes import Lora
from rsagent_training.rewards import RewardConfig

OWN_NAMES = ("untrained", "sft", "grpo", "control")


@dataclass(frozen=True)
class CurriculumStage:
    """One part of the curriculum.

    Attributes:
        lesson: Kind of the scenes.
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
class Variant:
    """The same practice in another way, for comparison.

    Attributes:
        name: Of its row, its run and its checkpoint.
        untrained: Begin without the lessons.
        reward: Constants of the reward.
        steps: Of this practice; 0 for as many as the other has.
    """

    name: str
    untrained: bool = False
    reward: RewardConfig = field(default_factory=RewardConfig)
    steps: int = 0

    def __post_init__(self) -> None:
        if self.name in OWN_NAMES or not self.name.replace("_", "").isalnum():
            raise ValueError(
                f"the variant {self.name!r} needs a name of letters, digits and '_' other than {', '.join(OWN_NAMES)}"
            )


@dataclass(frozen=True)
class MiniatureRecipe:
    """The whole recipe.

    Attributes:
        lessons: Curriculum of supervised training, in order.
        practice: Reinforcement learning.
        variants: Practices to compare with it. They can be added to a folder that is done.
        held_out: Scenes for evaluation, of the last lesson's kind and of a seed of their own.
        batch: Trajectories of one step of the lessons.
        min_iou: Trajectories under this are not learned from; as in `SftRecipe`.
        control: Trajectories that a control learns from, for each episode of the practice: it goes on with the last
            lesson instead. Playing an episode costs about what learning from it does, so that 2 is the same compute;
            0 for no control.
        max_turns: Of an episode in practice and evaluation.
        turn_limits: Other limits under which `sft` and `grpo` are evaluated, too. They can be added to what is done.
        max_reply_tokens: Of a reply there.
        seed: Of everything.
    """

    lessons: tuple[CurriculumStage, ...]
    practice: Practice
    variants: tuple[Variant, ...] = ()
    held_out: int = 200
    batch: int = 16
    min_iou: float = 0.9
    control: float = 2.0
    max_turns: int = 4
    turn_limits: tuple[int, ...] = ()
    max_reply_tokens: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.lessons:
            raise ValueError("lessons is empty; there must be at least one")
        if min(self.held_out, self.batch, self.practice.scenes, self.practice.steps) < 1 or self.control < 0:
            raise ValueError("held_out, batch, practice.scenes and practice.steps must be 1 or more, control 0 or more")
        names = [variant.name for variant in self.variants]
        if len({*names}) < len(names):
            raise ValueError(f"two variants have the same name: {', '.join(names)}")


def load(path: Path, changes: Iterable[str] = ()) -> MiniatureRecipe:
    """Read a recipe.

    Raises:
        ValueError: It can't be read, or holds what can't be; the message names the file.
    """
    return read_yaml(path, MiniatureRecipe, changes)
