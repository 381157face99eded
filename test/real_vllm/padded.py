"""A checkpoint whose attention heads are padded with zeros, to a size that vLLM has kernels for on a CPU."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

HEAD = 32


def save_padded(source: Path, target: Path) -> None:
    """Write a Qwen3-VL checkpoint with heads of HEAD numbers that says what the source does.

    Keys, queries and values get zeros at the end of either half of a head, which the rotation turns in pairs. The
    frequencies stay by another base of the rotation; norms and the scale of the scores, which know the size of a head,
    by factors in the weights of the norms.
    """
    shutil.copytree(source, target)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    text = config["text_config"]
    head = text["head_dim"]
    weights = load_file(source / "model.safetensors")
    for name, weight in weights.items():
        match name.split(".")[-2]:
            case "q_proj" | "k_proj" | "v_proj":
                weights[name] = _padded(weight.T, head).T.contiguous()
            case "o_proj":
                weights[name] = _padded(weight, head).contiguous()
            case "q_norm":
                weights[name] = _padded(weight, head)
            case "k_norm":
                weights[name] = _padded(weight, head) * math.sqrt(head / HEAD)
            case _:
                continue
    # The mean of squares is over HEAD numbers now, and so is the scale 1 / sqrt(size): in q_norm the two cancel.
    rope = text["rope_parameters"]
    rope["rope_theta"] = rope["rope_theta"] ** (HEAD / head)
    rope["mrope_section"][0] += (HEAD - head) // 2
    text["head_dim"] = HEAD
    (target / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    save_file(weights, target / "model.safetensors", {"format": "pt"})


def _padded(weight: Any, head: int) -> Any:
    """The last axis holds whole heads; each of their halves is padded."""
    halves = weight.unflatten(-1, (-1, 2, head // 2))
    return torch.nn.functional.pad(halves, (0, (HEAD - head) // 2)).flatten(-3)
