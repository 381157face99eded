"""Tiny random weights of the segmenters: real architecture, real files, 0.5 M parameters, no training.

For tests, CI and the dry run of a deployment, like those of `tiny.py`; about 2 MB each.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskGeneration, PreTrainedModel

WIDTH = 64
MEMORY_WIDTH = 128
"""Width of a network with memory: transformers wants more than the 64 channels that its memories have."""

MEMORY: dict[str, Any] = {
    "memory_attention_hidden_size": MEMORY_WIDTH,
    "memory_attention_num_layers": 2,
    "memory_attention_feed_forward_hidden_size": 2 * MEMORY_WIDTH,
    "memory_attention_rope_feat_sizes": [16, 16],
    "memory_encoder_hidden_size": MEMORY_WIDTH,
    "memory_encoder_output_channels": 64,
    "mask_downsampler_embed_dim": MEMORY_WIDTH,
    "memory_fuser_embed_dim": MEMORY_WIDTH,
    "memory_fuser_intermediate_dim": 2 * MEMORY_WIDTH,
}
"""Sizes of the memory of a network that has one, beside the image part."""

_PIXELS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
GREY_PIXELS = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def save_tiny_sam2(folder: Path, seed: int = 0) -> None:
    """Write a SAM 2.1 into a new or empty folder; the same for the same seed.

    Raises:
        FileExistsError: The folder has something in it.
    """
    _save(folder, "sam2", _hiera(), 16, {"image_processor_type": "Sam2ImageProcessorFast", **_PIXELS}, seed)


def save_tiny_sam2_video(folder: Path, seed: int = 0) -> None:
    """Write a SAM 2.1 with its memory for video, as most are published; otherwise like `save_tiny_sam2`."""
    pixels = {"image_processor_type": "Sam2ImageProcessorFast", **_PIXELS}
    _save(folder, "sam2_video", _hiera(MEMORY_WIDTH), 16, pixels, seed, {"image_size": 256, **MEMORY})


def save_tiny_sam3_tracker(folder: Path, seed: int = 0) -> None:
    """Write a SAM 3 tracker; otherwise like `save_tiny_sam2`."""
    pixels = {"image_processor_type": "Sam3ImageProcessorFast", **GREY_PIXELS}
    _save(folder, "sam3_tracker", sam3_vision(), 14, pixels, seed)


def save_tiny_edgetam(folder: Path, seed: int = 0) -> None:
    """Write an EdgeTAM, whose encoder comes from the package timm; otherwise like `save_tiny_sam2`.

    Raises:
        ImportError: There is no timm, or no torchvision that works, which timm needs.
    """
    repvit = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "label_names": ["none"],
        "num_classes": 1,
        "model_args": {
            "in_chans": 3,
            "features_only": True,
            "out_indices": [0, 1, 2, 3],
            "embed_dim": [8, 16, 24, 32],
            "depth": [1, 1, 1, 1],
        },
    }
    vision = {"backbone_config": repvit, "backbone_channel_list": [32, 24, 16, 8], **_necks("edgetam_vision_model")}
    _save(folder, "edgetam", vision, 16, {"image_processor_type": "Sam2ImageProcessorFast", **_PIXELS}, seed)


def sam3_vision(width: int = WIDTH) -> dict[str, Any]:
    """The image encoder of SAM 3."""
    backbone = {
        "model_type": "sam3_vit_model",
        "image_size": 224,
        "pretrain_image_size": 112,
        "patch_size": 14,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "window_size": 8,
        "global_attn_indexes": [1],
    }
    return {"backbone_config": backbone, **_necks("sam3_vision_model", width)}


def _hiera(width: int = WIDTH) -> dict[str, Any]:
    """The image encoder of SAM 2.1."""
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [256, 256],
        "hidden_size": 16,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 8, 4],
        "global_attention_blocks": [3],
    }
    return {
        "backbone_config": backbone,
        "backbone_channel_list": [128, 64, 32, 16],
        **_necks("sam2_vision_model", width),
    }


def _necks(model_type: str, width: int = WIDTH) -> dict[str, Any]:
    """The part after the backbone, which all image encoders share."""
    sizes = [[64, 64], [32, 32], [16, 16]]
    return {"model_type": model_type, "backbone_feature_sizes": sizes, "fpn_hidden_size": width}


def _save(
    folder: Path,
    name: str,
    vision: dict[str, Any],
    patch: int,
    processor: dict[str, Any],
    seed: int,
    memory: dict[str, Any] | None = None,
) -> None:
    """Write weights of that architecture for square images of 16 x 16 patches; video needs a memory."""
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    side, width = 16 * patch, vision["fpn_hidden_size"]
    config = AutoConfig.for_model(
        name,
        vision_config=vision,
        prompt_encoder_config={"image_size": side, "patch_size": patch, "hidden_size": width},
        mask_decoder_config={
            "hidden_size": width,
            "mlp_dim": 2 * width,
            "iou_head_hidden_dim": width,
            "num_attention_heads": 4,
        },
        **(memory or {}),
    )
    # For masks alone transformers would take the image part of a video model.
    kind = AutoModelForMaskGeneration if memory is None else AutoModel
    model = random_model(partial(kind.from_config, config, dtype=torch.float32), seed)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    write_pixels(folder, processor, side)


def random_model(make: Callable[[], PreTrainedModel], seed: int) -> PreTrainedModel:
    """A model with random weights; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        # Unit gain: with the usual small weights such a small network answers almost zero to everything.
        for weight in model.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    return model


def write_pixels(folder: Path, processor: dict[str, Any], side: int) -> None:
    """Write the file that says what a network's pixels are: squares of that side."""
    content = processor | {"size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
