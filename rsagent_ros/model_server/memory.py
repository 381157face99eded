"""How much of a GPU the model server may take, so that the segmenter's part is left."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """What has to fit into the memory of one GPU.

    Attributes:
        device_gib: All of it, as CUDA sees it: `torch.cuda.mem_get_info()[1] / 2**30`.
        billion_parameters: Of the model, vision tower included.
        bytes_per_parameter: 2 for bfloat16; about 0.6 for a model quantized to 4 bits, scales included.
        layers, kv_heads, head_size: Of the language model: num_hidden_layers, num_key_value_heads, and head_dim or
            hidden_size / num_attention_heads in config.json.
        work_gib: What the server needs beside weights and KV cache: activations, CUDA graphs, adapters.
        segmenter_gib: Left for the segmenter's process: SAM 2.1 large in half precision, CUDA context and cache.
        other_gib: Left for everybody else: the desktop, other nodes; on a Jetson also the operating system.

    Raises:
        ValueError: A number that can't be.
    """

    device_gib: float
    billion_parameters: float
    layers: int
    kv_heads: int
    head_size: int
    bytes_per_parameter: float = 2.0
    work_gib: float = 2.0
    segmenter_gib: float = 3.0
    other_gib: float = 1.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            may_be_zero = part.name in ("work_gib", "segmenter_gib", "other_gib")
            if not math.isfinite(value) or value < 0 or (value == 0 and not may_be_zero):
                least = "at least" if may_be_zero else "more than"
                raise ValueError(f"memory: {part.name} is {value}; it must be {least} 0")

    @property
    def weights_gib(self) -> float:
        """Of the model."""
        return self.billion_parameters * 1e9 * self.bytes_per_parameter / GIB

    @property
    def bytes_per_token(self) -> int:
        """Of the KV cache: keys and values, two bytes each."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_size


@dataclass(frozen=True)
class Share:
    """The server's part.

    Attributes:
        utilization: What `--gpu-memory-utilization` is set to: a part of the whole device, rounded down to a hundredth.
        gib: The same in GiB.
        weights_gib, work_gib: Of it.
        cache_gib: What is left of it for the KV cache.
        cache_tokens: How many tokens that holds.
    """

    utilization: float
    gib: float
    weights_gib: float
    work_gib: float
    cache_gib: float
    cache_tokens: int

    def __str__(self) -> str:
        """As the recipes state it."""
        return (
            f"utilization {self.utilization:.2f} = {self.gib:.1f} GiB: weights {self.weights_gib:.1f}, work "
            f"{self.work_gib:.1f}, KV cache {self.cache_gib:.1f} GiB for {self.cache_tokens} tokens"
        )


def share(memory: Memory, context: int, chats: int) -> Share:
    """The server's part of the GPU: all but what is left for the segmenter and for others.

    Args:
        memory: What has to fit.
        context: Tokens of the longest chat.
        chats: That many chats of that length have to fit at the same time.

    Raises:
        ValueError: They do not; the message says how much is missing.
    """
    left = memory.device_gib - memory.segmenter_gib - memory.other_gib
    # A tiny step up first: 0.57 * 100 is a little less than 57, and would be rounded down to 0.56.
    utilization = math.floor(left / memory.device_gib * 100 + 1e-6) / 100
    gib = utilization * memory.device_gib
    cache = gib - memory.weights_gib - memory.work_gib
    needed = context * chats * memory.bytes_per_token / GIB
    if cache < needed:
        raise ValueError(
            f"{chats} chats of {context} tokens need {needed:.1f} GiB of KV cache, and beside the weights of "
            f"{memory.weights_gib:.1f} GiB {max(0.0, cache):.1f} are left of the server's {max(0.0, gib):.1f} GiB; "
            "use a smaller or a quantized model, a shorter context, or fewer chats"
        )
    return Share(
        utilization, gib, memory.weights_gib, memory.work_gib, cache, int(cache * GIB / memory.bytes_per_token)
    )
