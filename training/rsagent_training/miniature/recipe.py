"""Recipe of the miniature; `config/training/miniature.yaml` is the full one, `miniature_smoke.yaml` CI's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rsagent_ros.yaml_file import read_yaml
from rsagent_training.miniature.world import SearchWorld
from rsagent_training.recipe_parts import Lora
from rsagent_training.rewards import RewardConfig

OWN_NAMES = ("untrained", "sft", "grpo", "control", "rft")


@dataclass(frozen=True)
class Demonstrations:
    """The teacher's demonstrations, and how they are learned.

    Attributes:
        scenes: One demonstration of each.
        epochs: Times that each is seen.
        learning_rate: Rate at the beginning; it falls to 0.
    """

    scenes: int
    epochs: float
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class Practice:
    """Reinforcement learning after the demonstrations.

    Attributes:
        scenes: How many there are to practise on.
        steps, batch, samples, learning_rate, beta, min_turns, max_turns: As in `GrpoRecipe` and `Optimisation`.
        lora: None trains all weights.
    """

    scenes: int
    steps: int
    batch: int = 16
    samples: int = 8
    learning_rate: float = 3e-4
    beta: float = 0.0
    min_turns: int = 3
    max_turns: int = 8
    lora: Lora | None = None


@dataclass(frozen=True)
class Rejection:
    """Rejection sampling instead: rollouts on scenes of the practice, of which the right ones are learned.

    Attributes:
        rollouts: How many are played, two of each scene.
        epochs: Times that each right one is seen.
        learning_rate: Rate at the beginning; it falls to 0.
    """

    rollouts: int
    epochs: float
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Variant:
    """A variant of the practice, for comparison.

    Attributes:
        name: Of its row, its run and its checkpoint.
        untrained: Begin without the demonstrations.
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
        demonstrations: Supervised training.
        practice: Reinforcement learning.
        rejection: None leaves it out.
        variants: Practices to compare with it. They can be added to a folder that is done.
        world: How scenes are drawn.
        held_out: Scenes for evaluation, of a seed of their own.
        batch: Trajectories of one step of supervised training.
        min_iou: Trajectories under this are not learned from; as in `SftRecipe`.
        control: Demonstrations that a control learns from, for each episode of the practice: it goes on with supervised
            training instead. Playing an episode costs about what learning from it does, so that 2 is the same compute;
            0 for no control.
        turn_limits: Limits of turns for the evaluation of every policy. They can be added to what is done.
        max_reply_tokens: Of a reply in practice and evaluation.
        seed: Of everything.
    """

    demonstrations: Demonstrations
    practice: Practice
    rejection: Rejection | None = None
    variants: tuple[Variant, ...] = ()
    world: SearchWorld = field(default_factory=SearchWorld)
    held_out: int = 300
    batch: int = 16
    min_iou: float = 0.9
    control: float = 2.0
    turn_limits: tuple[int, ...] = (4,)
    max_reply_tokens: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.held_out, self.batch, self.practice.scenes, self.practice.steps) < 1 or self.control < 0:
            raise ValueError("held_out, batch, practice.scenes and practice.steps must be 1 or more, control 0 or more")
        if not self.turn_limits or min(self.turn_limits) < 1:
            raise ValueError(f"turn_limits is {list(self.turn_limits)}; it must have at least one, each 1 or more")
        names = [variant.name for variant in self.variants]
        if len({*names}) < len(names):
            raise ValueError(f"two variants have the same name: {', '.join(names)}")


def load(path: Path, changes: Iterable[str] = ()) -> MiniatureRecipe:
    """Read a recipe.

    Raises:
        ValueError: It can't be read, or holds what can't be; the message names the file.
    """
    return read_yaml(path, MiniatureRecipe, changes)
