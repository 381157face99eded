"""The form in which weights are held for training: in 4 bits or not, and which attention reads them."""

from __future__ import annotations

import os

import torch
from transformers import BitsAndBytesConfig
from transformers.utils import is_bitsandbytes_available, is_flash_attn_2_available

from rsagent_training.recipe_parts import Attention, Optimisation

WHOLE = ("model.visual", "lm_head")
"""Modules that stay as they are: a mask hangs on what the vision tower sees, and the head is the table of tokens."""


def four_bit(optimisation: Optimisation) -> BitsAndBytesConfig:
    """QLoRA's way to hold weights: NF4, its scales quantised too, computed with in the recipe's precision.

    Raises:
        ValueError: bitsandbytes is not installed.
    """
    if not is_bitsandbytes_available():
        raise ValueError(
            "lora.four_bit needs bitsandbytes, which is not installed or too old: pip install bitsandbytes, or set "
            "lora.four_bit=false"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, optimisation.precision),
        llm_int8_skip_modules=list(WHOLE),
    )


def checked_attention(attention: Attention) -> Attention:
    """The attention itself, where it can be used.

    Raises:
        ValueError: flash-attn is not installed, or there is no GPU.
    """
    if attention == "flash_attention_2" and not is_flash_attn_2_available():
        raise ValueError(
            "optimisation.attention is flash_attention_2, which needs a CUDA GPU and flash-attn: pip install "
            "flash-attn, or set optimisation.attention=sdpa"
        )
    return attention


def training_device(optimisation: Optimisation) -> str:
    """The device that this process trains on."""
    if optimisation.cpu or not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
