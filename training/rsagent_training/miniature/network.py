"""The miniature's network and tokenizer before anything is learned: Qwen3-VL's architecture, under a million weights.

Qwen3-VL rather than Qwen2.5-VL, because its vision tower knows absolute positions from the first layer on; a network of
this size, trained for minutes, has to point at things and can't learn that from relative positions alone.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from rsagent_ros.agent.prompt import system
from rsagent_ros.models.tiny import Size, save_processing, tiny_model, tiny_tokenizer
from rsagent_ros.policies.family import QWEN3_VL
from rsagent_training.miniature.teacher import phrases
from rsagent_training.miniature.world import COLOURS, SHAPES, SIDE

SIZE = Size(width=96, heads=4, layers=3, vision_width=64, vision_heads=2, vision_layers=2, spread=0.03)
PICTURES = QWEN3_VL.pictures(SIDE)


def save_untrained(folder: Path, seed: int) -> None:
    """Write the checkpoint that training begins with; about 4 MB.

    Raises:
        FileExistsError: The folder has something in it.
    """
    corpus = [f"the {colour} {shape}" for colour in COLOURS for shape in SHAPES] * 10
    corpus += [
        '{"instruction": "the red circle", "image": [96, 96], "turns_left": 8}',
        '{"mask": 1, "score": 0.93, "area_percent": 4.5, "box": [120, 340, 260, 520], "turns_left": 7}',
        '{"error": "Nothing could be segmented there. Try another box or point.", "turns_left": 6}',
        "system\nuser\nassistant\n",
    ] * 10
    # The system prompt never changes: a line of it is one token. So is what is always said in the same words.
    lines = [line for line in system(PICTURES).splitlines() if line]
    told = ['{"mask": ', ', "score": 0.', ', "area_percent": ', ', "box": [', '], "turns_left": ', '{"instruction": "']
    told.append(f'", "image": [{SIDE}, {SIDE}], "turns_left": ')
    tokenizer = tiny_tokenizer(corpus, 512, [*lines, *told, *phrases()])
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    model: Any = tiny_model(QWEN3_VL, tokenizer, seed, SIZE)
    places = model.model.visual.pos_embed.weight
    with torch.no_grad():
        places.copy_(_waves(*places.shape))
    model.save_pretrained(folder)
    save_processing(QWEN3_VL, tokenizer, folder)


def _waves(count: int, width: int) -> torch.Tensor:
    """Where a patch is, as sines and cosines of its row and column: (count, width), count a square.

    Random places, as other weights begin, are drowned by the pixels' values for the first hundreds of steps.
    """
    side, quarter = math.isqrt(count), width // 4
    turns = torch.outer(torch.arange(side) / side, math.pi * 2.0 ** torch.linspace(-1, 3, quarter))
    wave = torch.cat([turns.sin(), turns.cos()], dim=1) / 2
    rows, columns = wave.repeat_interleave(side, dim=0), wave.repeat(side, 1)
    return torch.cat([rows, columns], dim=1)
