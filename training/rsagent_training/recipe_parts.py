"""Parts of recipes: the adapter, the optimizer, scenes to practise on or held out, a server. Need no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Precision = Literal["bfloat16", "float32"]
LossType = Literal["grpo", "dapo", "dr_grpo"]
Attention = Literal["sdpa", "flash_attention_2", "eager"]
Tracker = Literal["auto", "none", "tensorboard", "wandb", "trackio"]


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter instead of all weights.

    Attributes:
        rank, alpha, dropout: As peft's `LoraConfig` has them.
        targets: Names of linear layers of the language model; the vision tower stays as it is.
        four_bit: Hold the language model's own weights in 4 bits while the adapter learns (QLoRA: NF4, quantised
            twice). Needs bitsandbytes.
    """

    rank: int = 64
    alpha: int = 128
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    four_bit: bool = False

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
        attention: Implementation, as transformers names them; flash_attention_2 needs flash-attn.
        report_to: Tracker that gets what the curve gets; `auto`: tensorboard where that is installed, else none.
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
    attention: Attention = "sdpa"
    report_to: Tracker = "auto"

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
        at_least(self, 1, "device_batch", "save_every", "log_every", "keep")
        at_least(self, 0, "seed", "workers")


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
class HeldOut:
    """Scenes that are not learned from: the policy plays them, always with the likeliest token, every so many steps.

    The best weights by the mean value of the Score are kept in `best/`.

    Attributes:
        scenes: Folder of scenes.
        count: How many of them, drawn by the seed; None for all.
        every: Optimizer steps between two evaluations; the last step has one, too.
        patience: Evaluations in a row that may pass without a better one; then the run ends. None goes on to its end.
    """

    scenes: str
    count: int | None = None
    every: int = 50
    patience: int | None = None

    def __post_init__(self) -> None:
        MixPart(self.scenes, self.count)
        at_least(self, 1, "every")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"held_out.patience is {self.patience}; it must be 1 or more, or left out")


@dataclass(frozen=True)
class SftHeldOut(HeldOut):
    """The same in supervised training, which plays nothing else.

    Attributes:
        segmenter, segmenter_settings, side, max_reply_tokens, rollout_batch: As in `GrpoRecipe`.
    """

    segmenter: str = "sam2"
    segmenter_settings: dict[str, Any] = field(default_factory=dict)
    side: int = 768
    max_reply_tokens: int = 512
    rollout_batch: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "side", "max_reply_tokens", "rollout_batch")


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
        at_least(self, 1, "in_flight")
        if not self.max_ratio >= 1 or not self.timeout > 0:
            raise ValueError(f"max_ratio is {self.max_ratio}, timeout {self.timeout}; at least 1, and over 0")


def at_least(recipe: object, least: int, *names: str) -> None:
    """Check numbers of a recipe or a part of one.

    Raises:
        ValueError: One is less.
    """
    for name in names:
        if getattr(recipe, name) < least:
            raise ValueError(f"{name} is {getattr(recipe, name)}; it must be {least} or more")
