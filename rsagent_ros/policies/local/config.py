"""Settings of a local policy. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from rsagent_ros.settings import check, setting

DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True)
class LocalConfig:
    """A checkpoint, and how to run it; each field says what it means.

    Raises:
        ValueError: A value that can't be; the message says what can.
    """

    checkpoint: str = setting("", "folder of a Qwen2.5-VL or Qwen3-VL checkpoint with safetensors weights")
    lora: str = setting("", "folder of a LoRA adapter that was trained on this checkpoint; empty: none")
    device: str = setting("auto", "`auto`: the first CUDA device where there is one, else `cpu`; or such as `cuda:1`")
    dtype: str = setting("auto", "of the weights; `auto`: bfloat16 on CUDA, float32 on the CPU", choices=DTYPES)
    context: int = setting(
        8192,
        "most tokens of one conversation, pictures included; the checkpoint's own limit counts too",
        unit="tokens",
        low=1,
        high=10_000_000,
    )
    temperature: float = setting(
        0.0, "0 always takes the likeliest token, 1 samples from the model as it is", low=0.0, high=10.0
    )
    top_p: float = setting(
        1.0, "sample from the likeliest tokens that together have this probability", low=1e-6, high=1
    )
    seed: int = setting(0, "with the number of the conversation, it decides every sample", low=0, high=2**31 - 1)
    compile: bool = setting(
        False, "compile the decoding and keep it in CUDA graphs: minutes at the start, then much faster on a GPU"
    )
    side: int = 768
    """Longest side of the clean pictures, pixels; the node's parameter `view_side`."""

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError("checkpoint is empty; name the folder of a Qwen2.5-VL or Qwen3-VL checkpoint")
        check(self)
        if self.side < 1:
            raise ValueError(f"side is {self.side}; it must be at least 1")
