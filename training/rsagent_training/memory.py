"""Memory of a GPU that a recipe with an adapter needs, as a sum that can be followed.

    python -m rsagent_training.memory config/training/grpo_one_gpu.yaml

Counted is the longest sequence that the recipe allows, in bfloat16, with activations computed again. Half of it is
arithmetic (weights, optimizer, caches), half an estimate (`LAYER`, `CONTEXT`): none was measured on a GPU. Needs no
torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from rsagent_ros.yaml_file import read_yaml
from rsagent_training.recipe_parts import Lora
from rsagent_training.recipes import GrpoRecipe, SftRecipe

GIB = 2**30

HALF = 2
"""Bytes of a bfloat16."""

FOUR_BIT = 0.516
"""Bytes of a weight in NF4: 4 bits, and the scale of each 64 weights, itself in 8 bits."""

CONTEXT = 1.5
"""GiB of the CUDA context, the libraries' work space and the gaps between tensors: an estimate."""

SEGMENTER = 3.0
"""GiB of SAM 2.1 large in half precision, as the recipes of model servers have it."""

TILE = 4096 * 32768
"""Logits that TRL has at a time: tokens times words of a tile."""


@dataclass(frozen=True)
class ModelSize:
    """Size of a vision-language model, by its config.json.

    Attributes:
        name: Of the checkpoint.
        language, vision: Billions of parameters, the table of tokens counted with the language model.
        vocabulary: Tokens.
        layers, width, inner, heads, kv_heads, head_size: Of the language model.
        vision_width: Of the vision tower.
    """

    name: str
    language: float
    vision: float
    vocabulary: int
    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_size: int
    vision_width: int

    @property
    def linear_sides(self) -> dict[str, int]:
        """Inputs and outputs of one block's linear layers together, by name: an adapter's weights over its rank."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "q_proj": self.width + queries,
            "k_proj": self.width + keys,
            "v_proj": self.width + keys,
            "o_proj": self.width + queries,
            "gate_proj": self.width + self.inner,
            "up_proj": self.width + self.inner,
            "down_proj": self.width + self.inner,
        }


SIZES = (
    ModelSize("Qwen2.5-VL-3B", 3.086, 0.669, 151_936, 36, 2048, 11_008, 16, 2, 128, 1280),
    ModelSize("Qwen3-VL-4B", 4.022, 0.415, 151_936, 36, 2560, 9728, 32, 8, 128, 1024),
)


def training_memory(size: ModelSize, recipe: SftRecipe | GrpoRecipe) -> dict[str, float]:
    """GiB by what needs them, in the order of a sum; the last, `total`, is at the worst moment.

    Raises:
        ValueError: All weights learn, or activations are kept: that is another sum.
    """
    lora, optimisation = recipe.lora, recipe.optimisation
    if lora is None or not optimisation.checkpointing or optimisation.precision != "bfloat16":
        raise ValueError("counted are recipes with a lora, checkpointing and bfloat16; this is none")
    tokens = recipe.max_tokens * optimisation.device_batch
    activations = (
        size.layers * tokens * size.width * HALF + _layer(size, tokens) + TILE * HALF + tokens * size.width * 4
    )
    parts = {
        "weights": _weights(size, lora),
        "adapter, its gradient, Adam's two moments": _adapter(size, lora),
        "activations": activations,
    }
    if isinstance(recipe, GrpoRecipe) and recipe.server is None:
        parts["or cache of the rollouts"] = _cache(size, recipe)
    if isinstance(recipe, GrpoRecipe) or recipe.held_out is not None:
        parts["segmenter"] = SEGMENTER * GIB
    parts["context"] = CONTEXT * GIB
    gib = {name: amount / GIB for name, amount in parts.items()}
    # The episodes are over before training begins: one of the two is there at a time.
    least = min(gib["activations"], gib.get("or cache of the rollouts", gib["activations"]))
    gib["total"] = sum(gib.values()) - (least if "or cache of the rollouts" in gib else 0.0)
    return gib


def _weights(size: ModelSize, lora: Lora) -> float:
    table = size.vocabulary * size.width  # stays in bfloat16
    language = (size.language * 1e9 - table) * (FOUR_BIT if lora.four_bit else HALF) + table * HALF
    return language + size.vision * 1e9 * HALF


def _adapter(size: ModelSize, lora: Lora) -> float:
    weights = lora.rank * size.layers * sum(size.linear_sides[name] for name in lora.targets)
    # In float32, but for QLoRA, where TRL makes the adapter bfloat16; Adam's moments are as the weights.
    return weights * 4 * (HALF if lora.four_bit else 4)


def _layer(size: ModelSize, tokens: int) -> float:
    """One block computed again, with the gradient of each value: what its parts keep for the way back."""
    attention = 2 * size.heads * size.head_size + 2 * size.kv_heads * size.head_size
    kept = 8 * size.width + attention + 4 * size.inner
    return 2 * tokens * kept * HALF


def _cache(size: ModelSize, recipe: GrpoRecipe) -> float:
    per_token = 2 * size.layers * size.kv_heads * size.head_size * HALF
    episodes = min(recipe.rollout_batch, recipe.batch * recipe.samples)
    return 1.1 * episodes * recipe.max_tokens * per_token  # a tenth for what is moved when episodes end


def table(recipe: SftRecipe | GrpoRecipe, sizes: Sequence[ModelSize] = SIZES) -> str:
    """The sums as a table in Markdown."""
    sums = [training_memory(size, recipe) for size in sizes]
    rows = [f"| GiB | {' | '.join(size.name for size in sizes)} |", f"|---|{'---|' * len(sizes)}"]
    rows += [f"| {name} | {' | '.join(f'{one[name]:.1f}' for one in sums)} |" for name in sums[0]]
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of a recipe, with weights as they are and in 4 bits; returns the exit code."""
    parser = argparse.ArgumentParser(description="Memory of a GPU that a recipe of sft or grpo with an adapter needs.")
    parser.add_argument("recipe", type=Path)
    path: Path = parser.parse_args(argv).recipe
    try:
        names = yaml.safe_load(path.read_bytes())
        recipe: SftRecipe | GrpoRecipe
        recipe = read_yaml(path, SftRecipe) if "trajectories" in names else read_yaml(path, GrpoRecipe)
        if recipe.lora is None:
            raise ValueError("all weights learn, which is not counted here")
        four_bit = replace(recipe, lora=replace(recipe.lora, four_bit=not recipe.lora.four_bit))
        first, second = table(recipe), table(four_bit)
    except (OSError, ValueError, yaml.YAMLError) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 1
    sys.stdout.write(f"{first}\n\nWith lora.four_bit={str(not recipe.lora.four_bit).lower()}:\n\n{second}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
