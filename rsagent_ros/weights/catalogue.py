"""Catalogue of weights for this agent: repository, size and licence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """Weights on the Hugging Face hub.

    Attributes:
        repo: Owner and name of the repository.
        megabytes: Approximate size; `fetch` prints the exact one before it downloads.
        licence: Short name; the repository holds the text that counts.
        use: Role in the agent.
        revision: Branch, tag or commit; the lock file then names the commit.
        gated: Whether the hub gives it only to whom its owner granted access, who is known by a token.
    """

    repo: str
    megabytes: int
    licence: str
    use: str
    revision: str = "main"
    gated: bool = False


CATALOGUE = {
    "sam2.1-hiera-tiny": Published("facebook/sam2.1-hiera-tiny", 156, "Apache-2.0", "segmenter"),
    "sam2.1-hiera-small": Published("facebook/sam2.1-hiera-small", 184, "Apache-2.0", "segmenter"),
    "sam2.1-hiera-base-plus": Published("facebook/sam2.1-hiera-base-plus", 323, "Apache-2.0", "segmenter"),
    "sam2.1-hiera-large": Published("facebook/sam2.1-hiera-large", 898, "Apache-2.0", "segmenter"),
    "edgetam": Published("yonigozlan/EdgeTAM-hf", 56, "Apache-2.0", "segmenter; needs timm and torchvision"),
    "sam3": Published("facebook/sam3", 3_440, "SAM License", "segmenter sam3, which takes words", gated=True),
    "mm-grounding-dino-tiny": Published(
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det", 690, "Apache-2.0", "finder of sam2"
    ),
    "owlv2-base": Published("google/owlv2-base-patch16-ensemble", 620, "Apache-2.0", "finder of sam2"),
    "qwen2.5-vl-3b-instruct": Published(
        "Qwen/Qwen2.5-VL-3B-Instruct", 7_500, "Qwen Research License: not for commercial use", "policy"
    ),
    "qwen2.5-vl-7b-instruct": Published("Qwen/Qwen2.5-VL-7B-Instruct", 16_600, "Apache-2.0", "policy"),
    "qwen3-vl-4b-instruct": Published("Qwen/Qwen3-VL-4B-Instruct", 8_900, "Apache-2.0", "policy"),
    "qwen3-vl-8b-instruct": Published("Qwen/Qwen3-VL-8B-Instruct", 17_500, "Apache-2.0", "policy"),
}
