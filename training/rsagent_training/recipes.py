"""Recipes of training: one frozen dataclass per stage, read from a YAML file. Needs no torch.

Where a default is the paper's, its line in `config/training/` says so; all others are this project's choice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rsagent_training.rewards import RewardConfig

Precision = Literal["bfloat16", "float32"]
LossType = Literal["grpo", "dapo", "dr_grpo"]


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter instead of all weights.

    Attributes:
        rank, alpha, dropout: As peft's `LoraConfig` has them.
        targets: Names of linear layers of the language model; the vision tower stays as it is.
    """

    rank: int = 64
    alpha: int = 128
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha < 1 or not 0 <= self.dropout < 1 or not self.targets:
            raise ValueError(
                f"lora: {asdict(self)}; rank and alpha are 1 or more, dropout is under 1, targets not empty"
            )


@dataclass(frozen=True)
class Optimisation:
    """Settings of the optimizer; the same words for both stages.

    Attributes:
        learning_rate, weight_decay, beta2, warmup_share, schedule, max_grad_norm: Of AdamW, as transformers has them.
        precision: Of the forward passes, and of the weights under a LoRA. Weights that learn are float32.
        checkpointing: Compute activations again instead of keeping them: half the speed, a fraction of the memory.
        device_batch: Sequences of one forward pass on one device.
        workers: Processes that draw pictures ahead, in supervised training.
        save_every, log_every: Optimizer steps.
        keep: Newest checkpoints that are kept.
        seed: Of the order, the adapter's beginning and the samples.
        cpu: Do not use a GPU that is there.
    """

    learning_rate: float
    weight_decay: float = 0.0
    beta2: float = 0.999
    warmup_share: float = 0.03
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    max_grad_norm: float = 1.0
    precision: Precision = "bfloat16"
    checkpointing: bool = True
    device_batch: int = 1
    workers: int = 0
    save_every: int = 20
    log_every: int = 1
    keep: int = 2
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        if not self.learning_rate > 0 or not 0 <= self.warmup_share < 1 or not self.max_grad_norm > 0:
            raise ValueError(
                f"learning_rate {self.learning_rate}, warmup_share {self.warmup_share}, max_grad_norm "
                f"{self.max_grad_norm}; rate and norm must be over 0, the share from 0 to under 1"
            )
        if not 0 <= self.beta2 < 1 or self.weight_decay < 0:
            raise ValueError(
                f"beta2 is {self.beta2}, weight_decay {self.weight_decay}; from 0 to under 1, and 0 or more"
            )
        _at_least(self, 1, "device_batch", "save_every", "log_every", "keep")
        _at_least(self, 0, "seed", "workers")


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

    def __post_init__(self) -> None:
        if not self.epochs > 0:
            raise ValueError(f"epochs is {self.epochs}; it must be over 0")
        _at_least(self, 1, "batch", "max_turns", "max_tokens")
        if not self.checkpoint or not self.trajectories:
            raise ValueError("checkpoint and trajectories must name folders")


@dataclass(frozen=True)
class MixPart:
    """Some scenes of the mix that reinforcement learning practises on.

    Attributes:
        scenes: Folder of scenes (`scenes.jsonl`).
        count: How many of them, drawn by the seed; None for all.
    """

    scenes: str
    count: int | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"{self.scenes}: count is {self.count}; it must be 1 or more, or left out for all")


@dataclass(frozen=True)
class VllmServer:
    """Rollouts by a vLLM server on this machine, which gets the adapter anew after every step.

    Attributes:
        base_url: Root of its API, on loopback.
        model: Name under which it serves the checkpoint.
        in_flight: Episodes at the same time.
        max_ratio: Truncation of the importance weight of a token that an older policy sampled.
        timeout: Seconds for the server to load an adapter.
    """

    model: str
    base_url: str = "http://127.0.0.1:8000/v1"
    in_flight: int = 32
    max_ratio: float = 2.0
    timeout: float = 120.0

    def __post_init__(self) -> None:
        _at_least(self, 1, "in_flight")
        if not self.max_ratio >= 1 or not self.timeout > 0:
            raise ValueError(f"max_ratio is {self.max_ratio}, timeout {self.timeout}; at least 1, and over 0")


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

    def __post_init__(self) -> None:
        names = ("batch", "rollout_batch", "max_turns", "max_reply_tokens", "side", "iterations", "max_tokens")
        _at_least(self, 1, *names)
        _at_least(self, 2, "samples")
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
        _at_least(self, 0, "max_dropped_groups")
        if self.server is not None and self.lora is None:
            raise ValueError("a server gets a LoRA adapter after every step; set lora, or leave out server")


def _at_least(recipe: object, least: int, *names: str) -> None:
    for name in names:
        if getattr(recipe, name) < least:
            raise ValueError(f"{name} is {getattr(recipe, name)}; it must be {least} or more")
