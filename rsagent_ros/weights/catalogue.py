"""Weights that this agent is made for: where they are published, how large they are, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint on the Hugging Face hub.

    Attributes:
        repo: Owner and name.
        megabytes: Roughly; the hub says it exactly before anything is downloaded.
        licence: Short; the repository holds the text that counts.
        use: What it is here.
        revision: Branch, tag or commit; which commit it was then stands in the lock file.
    """

    repo: str
    megabytes: int
    licence: str
    use: str
    revision: str = "main"


CATALOGUE = {
    "sam2.1-hiera-tiny": Published("facebook/sam2.1-hiera-tiny", 156, "Apache-2.0", "segmenter"),
    "sam2.1-hiera-small": Published("facebook/sam2.1-hiera-small", 184, "Apache-2.0", "segmenter"),
    "sam2.1-hiera-base-plus": Published("facebook/sam2.1-hiera-base-plus", 323, "Apache-2.0", "segmenter"),
    "sam2.1-hiera-large": Published("facebook/sam2.1-hiera-large", 898, "Apache-2.0", "segmenter"),
    "edgetam": Published("yonigozlan/EdgeTAM-hf", 56, "Apache-2.0", "segmenter; needs timm and torchvision"),
    "qwen2.5-vl-3b-instruct": Published(
        "Qwen/Qwen2.5-VL-3B-Instruct", 7_500, "Qwen Research License: not for commercial use", "policy"
    ),
    "qwen2.5-vl-7b-instruct": Published("Qwen/Qwen2.5-VL-7B-Instruct", 16_600, "Apache-2.0", "policy"),
    "qwen3-vl-4b-instruct": Published("Qwen/Qwen3-VL-4B-Instruct", 8_900, "Apache-2.0", "policy"),
    "qwen3-vl-8b-instruct": Published("Qwen/Qwen3-VL-8B-Instruct", 17_500, "Apache-2.0", "policy"),
}
