"""Recipes of training: one frozen dataclass per stage, read from a YAML file. Needs no torch.

Where a default is the paper's, its line in `config/training/` says so; all others are this project's choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rsagent_training.recipe_parts import (
    HeldOut,
    Lora,
    LossType,
    MixPart,
    Optimisation,
    SftHeldOut,
    VllmServer,
    at_least,
)
from rsagent_training.rewards import RewardConfig


@dataclass(frozen=True)
class SftRecipe:
    """Supervised training on trajectories.

    Attributes:
        checkpoint: Folder of the checkpoint to begin with.
        trajectories: Folders that `rsagent synthesize` wrote.
        optimisation: How weights are changed.
        epochs: Times that every trajectory is seen.
        batch: Trajectories of one optimizer step, all devices together.
        lora: None trains all weights.
        freeze_vision: In full training, leave the vision tower as it is.
        min_iou, max_turns: Trajectories under or over these are left out.
        max_tokens: Longer sequences are left out: cutting one would tear its last turns off.
        held_out: Scenes to choose the best weights by; None for none.
    """

    checkpoint: str
    trajectories: tuple[str, ...]
    optimisation: Optimisation
    epochs: float = 2.0
    batch: int = 128
    lora: Lora | None = field(default_factory=Lora)
    freeze_vision: bool = True
    min_iou: float = 0.9
    max_turns: int = 8
    max_tokens: int = 16_384
    held_out: SftHeldOut | None = None

    def __post_init__(self) -> None:
        if not self.epochs > 0:
            raise ValueError(f"epochs is {self.epochs}; it must be over 0")
        at_least(self, 1, "batch", "max_turns", "max_tokens")
        if not self.checkpoint or not self.trajectories:
            raise ValueError("checkpoint and trajectories must name folders")


@dataclass(frozen=True)
class GrpoRecipe:
    """Reinforcement learning: episodes in groups of the same scene, each judged against its group.

    Attributes:
        checkpoint: Folder of the checkpoint to begin with: what `rsagent merge` wrote after SFT.
        mix: What is practised on.
        optimisation: How weights are changed.
        steps: Optimizer steps; None for one pass over the mix.
        batch: Scenes of one step, all devices together.
        samples: Episodes of each scene.
        rollout_batch: Episodes that are sampled at the same time in this process.
        max_turns, max_reply_tokens, side: Of the episodes.
        min_turns: Draw the limit of turns of each group from this to `max_turns`, so that what is learned does not hang
            on one limit; None for `max_turns` always.
        max_dropped_groups: Groups that a process may leave out because an episode could not be run (a segmenter's
            fault): with more the run stops. An episode that is too long for `max_tokens` gave up.
        max_ratio: Weigh tokens by how much likelier they are in the training pass than they were when sampled in this
            process, at most by this; None does not. Half precision makes the two differ: `rollout/logp_gap` says by how
            much. A server has a `max_ratio` of its own.
        segmenter, segmenter_settings: The segmentation model, as `rsagent_ros.backends.Choice` has them.
        beta: Weight of the KL divergence to the checkpoint it began with; 0 turns it off.
        epsilon: Clipping of the ratio of new to old policy, below and above.
        epsilon_high: Above, where it differs: asymmetric clipping, 0.28 in DAPO.
        loss_type: Mean over the tokens of each episode and then over episodes (`grpo`), over all tokens of a step
            (`dapo`), or the sum of tokens over the most there could be (`dr_grpo`), as TRL has them.
        iterations: Optimizer steps on the same episodes.
        lora: None trains all weights.
        freeze_vision: In full training, leave the vision tower as it is.
        reward: All of its constants.
        server: None samples in this process.
        max_tokens: Of a sequence, pictures included; the longest that a rollout may become.
        held_out: Scenes to choose the best weights by; None for none.
    """

    checkpoint: str
    mix: tuple[MixPart, ...]
    optimisation: Optimisation
    steps: int | None = None
    batch: int = 16
    samples: int = 4
    rollout_batch: int = 16
    max_turns: int = 8
    max_reply_tokens: int = 512
    side: int = 768
    segmenter: str = "sam2"
    segmenter_settings: dict[str, Any] = field(default_factory=dict)
    beta: float = 0.02
    epsilon: float = 0.2
    epsilon_high: float | None = None
    loss_type: LossType = "grpo"
    iterations: int = 1
    lora: Lora | None = field(default_factory=Lora)
    freeze_vision: bool = True
    reward: RewardConfig = field(default_factory=RewardConfig)
    server: VllmServer | None = None
    max_tokens: int = 16_384
    min_turns: int | None = None
    max_dropped_groups: int = 20
    max_ratio: float | None = None
    held_out: HeldOut | None = None

    def __post_init__(self) -> None:
        names = ("batch", "rollout_batch", "max_turns", "max_reply_tokens", "side", "iterations", "max_tokens")
        at_least(self, 1, *names)
        at_least(self, 2, "samples")
        if self.min_turns is not None and not 1 <= self.min_turns <= self.max_turns:
            raise ValueError(
                f"min_turns is {self.min_turns}; it must be 1 to max_turns ({self.max_turns}), or left out"
            )
        if not self.checkpoint or not self.mix:
            raise ValueError("checkpoint must name a folder, and mix at least one folder of scenes")
        if self.beta < 0 or not 0 < self.epsilon < 1 or (self.epsilon_high or self.epsilon) < self.epsilon:
            raise ValueError(
                f"beta is {self.beta}, epsilon {self.epsilon}, epsilon_high {self.epsilon_high}; beta is 0 or more, "
                "epsilon between 0 and 1, and epsilon_high not under it"
            )
        if self.optimisation.save_every % self.iterations:
            raise ValueError(
                f"save_every is {self.optimisation.save_every} and iterations {self.iterations}; save after whole "
                "iterations, or a run that is resumed would learn from other episodes"
            )
        if self.max_ratio is not None and not self.max_ratio >= 1:
            raise ValueError(f"max_ratio is {self.max_ratio}; it must be 1 or more, or left out")
        at_least(self, 0, "max_dropped_groups")
        if self.server is not None and self.lora is None:
            raise ValueError("a server gets a LoRA adapter after every step; set lora, or leave out server")
