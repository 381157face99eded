"""The model server's share of a GPU, so that the segmenter's part is left."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Needs of everything that shares the memory of one GPU.

    Attributes:
        device_gib: Memory of the device, as CUDA sees it: `torch.cuda.mem_get_info()[1] / 2**30`.
        billion_parameters: Size of the model, vision tower included.
        bytes_per_parameter: 2 for bfloat16; about 0.6 for a model quantized to 4 bits, scales included.
        layers, kv_heads, head_size: Language model: num_hidden_layers, num_key_value_heads, and head_dim or
            hidden_size / num_attention_heads in config.json.
        work_gib: Need of the server beside weights and KV cache: activations, CUDA graphs, adapters.
        segmenter_gib: Reserved for the segmenter's process: SAM 2.1 large in half precision, CUDA context and cache.
        other_gib: Reserved for all others: the desktop, other nodes; on a Jetson also the operating system.

    Raises:
        ValueError: A number out of range.
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
        """Memory of the model's weights."""
        return self.billion_parameters * 1e9 * self.bytes_per_parameter / GIB

    @property
    def bytes_per_token(self) -> int:
        """Bytes of KV cache for each token: keys and values, two bytes each."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_size


@dataclass(frozen=True)
class Share:
    """The server's share of a GPU.

    Attributes:
        utilization: Value of `--gpu-memory-utilization`: a share of the whole device, rounded down to a hundredth.
        gib: The same in GiB.
        weights_gib, work_gib: Parts of it.
        cache_gib: The rest, for the KV cache.
        cache_tokens: Number of tokens that the cache holds.
    """

    utilization: float
    gib: float
    weights_gib: float
    work_gib: float
    cache_gib: float
    cache_tokens: int

    def __str__(self) -> str:
        """The line that the recipes state."""
        return (
            f"utilization {self.utilization:.2f} = {self.gib:.1f} GiB: weights {self.weights_gib:.1f}, work "
            f"{self.work_gib:.1f}, KV cache {self.cache_gib:.1f} GiB for {self.cache_tokens} tokens"
        )


def share(memory: Memory, context: int, chats: int) -> Share:
    """The server's share of the GPU: all but the memory reserved for the segmenter and for others.

    Args:
        memory: Needs of everything on the GPU.
        context: Tokens of the longest chat.
        chats: Number of chats of that length that must fit at the same time.

    Raises:
        ValueError: They do not fit; the message says how much is missing.
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
