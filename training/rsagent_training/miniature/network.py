"""The miniature's network and tokenizer before anything is learned: Qwen3-VL's architecture, under a million weights.

Qwen3-VL rather than Qwen2.5-VL, because its vision tower knows absolute positions from the first layer on; a network of
this size, trained for minutes, has to point at things and can't learn that from relative positions alone.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from rsagent_ros.agent.actions import FIRST_TOOLS
from rsagent_ros.agent.prompt import system
from rsagent_ros.policies.family import QWEN3_VL
from rsagent_ros.policies.trained_format import TrainedFormat
from rsagent_ros.weights.tiny import Size, save_processing, tiny_config, tiny_tokenizer
from rsagent_training.miniature.teacher import phrases
from rsagent_training.miniature.world import SIDE

SIZE = Size(width=96, heads=4, layers=3, vision_width=64, vision_heads=2, vision_layers=2, spread=0.03)
TRAINED = TrainedFormat("view", FIRST_TOOLS)
PICTURES = QWEN3_VL.pictures(SIDE, TRAINED.overlay, TRAINED.tools)
"""The prompt is one token: tools that have come since release 0.1.0 change nothing in it."""
ROPE_THETA = 1e6
"""Base of the rotary positions in the text: most of a head's few channels turn so slowly that they can match words at
any distance."""


def save_untrained(folder: Path, seed: int) -> None:
    """Write the checkpoint that training begins with; about 4 MB.

    Raises:
        FileExistsError: The folder has something in it.
    """
    # The system prompt never changes, and is one token; so is all else that is always said in the same words.
    told = [
        '{"mask": ',
        ', "score": 0.',
        ', "area_percent": ',
        ', "box": [',
        '], "turns_left": ',
        '{"instruction": "the',
    ]
    told.append(f'", "image": [{SIDE}, {SIDE}], "turns_left": ')
    tokenizer = tiny_tokenizer(["system\nuser\nassistant\n"] * 10, 300, [system(PICTURES), *told, *phrases()])
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    config: Any = tiny_config(QWEN3_VL, tokenizer, SIZE)
    config.text_config.rope_parameters["rope_theta"] = ROPE_THETA
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    places = model.model.visual.pos_embed.weight
    with torch.no_grad():
        places.copy_(_waves(*places.shape))
    model.save_pretrained(folder)
    save_processing(QWEN3_VL, tokenizer, folder, TRAINED)


def _waves(count: int, width: int) -> torch.Tensor:
    """Position of each patch as sines and cosines of its row and column: (count, width), count a square.

    Random places, as other weights begin, are drowned by the pixels' values for the first hundreds of steps; waves a
    third as high are learned half as fast.
    """
    side, quarter = math.isqrt(count), width // 4
    turns = torch.outer(torch.arange(side) / side, math.pi * 2.0 ** torch.linspace(-1, 3, quarter))
    wave = 1.5 * torch.cat([turns.sin(), turns.cos()], dim=1)
    rows, columns = wave.repeat_interleave(side, dim=0), wave.repeat(side, 1)
    return torch.cat([rows, columns], dim=1)
