"""Tiny random weights of the detectors that take words: real architecture, real files, no training.

For tests, CI and the dry run of a deployment, like those of `tiny.py`; about 2 MB each.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2ForObjectDetection,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from rsagent_ros.weights.tiny_sam2 import random_model
from rsagent_ros.weights.tiny_words import tiny_bert_tokenizer, tiny_clip_tokenizer

_WIDTH = 32
_TEXT_LENGTH = 16
"""Tokens of OWLv2's phrases."""

_SIDE, _PATCH = 96, 16


def save_tiny_mm_grounding_dino(folder: Path, seed: int = 0) -> None:
    """Write an MM-Grounding-DINO into a new or empty folder; the same for the same seed.

    Raises:
        FileExistsError: The folder has something in it.
    """
    tokenizer = tiny_bert_tokenizer(512)
    swin = {
        "model_type": "swin",
        "image_size": 64,
        "embed_dim": 16,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 2, 2, 4],
        "window_size": 4,
        "out_indices": [2, 3, 4],
    }
    text = {
        "model_type": "bert",
        "vocab_size": len(tokenizer),
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    described = AutoConfig.for_model(
        "mm-grounding-dino",
        backbone_config=swin,
        text_config=text,
        d_model=_WIDTH,
        encoder_layers=1,
        encoder_ffn_dim=2 * _WIDTH,
        encoder_attention_heads=4,
        decoder_layers=2,
        decoder_ffn_dim=2 * _WIDTH,
        decoder_attention_heads=4,
        num_queries=20,
        decoder_bbox_embed_share=False,
        decoder_cls_embed_share=False,
    )
    pixels = {
        "image_processor_type": "GroundingDinoImageProcessor",
        "size": {"shortest_edge": 96, "longest_edge": 160},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    _save(folder, MMGroundingDinoForObjectDetection, described, tokenizer, pixels, seed)


def save_tiny_owlv2(folder: Path, seed: int = 0) -> None:
    """Write an OWLv2; otherwise like `save_tiny_mm_grounding_dino`."""
    tokenizer = tiny_clip_tokenizer(_TEXT_LENGTH, padding="!")
    tower = {"hidden_size": _WIDTH, "intermediate_size": 2 * _WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **tower,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": _TEXT_LENGTH,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {**tower, "image_size": _SIDE, "patch_size": _PATCH}
    described = AutoConfig.for_model("owlv2", text_config=text, vision_config=vision, projection_dim=_WIDTH)
    pixels = {
        "image_processor_type": "Owlv2ImageProcessor",
        "size": {"height": _SIDE, "width": _SIDE},
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    _save(folder, Owlv2ForObjectDetection, described, tokenizer, pixels, seed)


def _save(
    folder: Path,
    kind: Any,
    described: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    pixels: dict[str, Any],
    seed: int,
) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    model = random_model(partial(kind, described), seed)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels, indent=2) + "\n", encoding="utf-8")
