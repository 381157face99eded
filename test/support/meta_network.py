"""Small networks of Meta's sam2 package, and the same weights under transformers' names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

WHY = "Meta's sam2 package is not installed: pip install hydra-core iopath; " + (
    "SAM2_BUILD_CUDA=0 pip install --no-deps --no-build-isolation sam2==1.1.0"
)

RENAMED = [
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^image_encoder\.trunk", "vision_encoder.backbone"),
    (r"^image_encoder\.neck\.convs\.(\d)\.conv", r"vision_encoder.neck.convs.\1"),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"^sam_mask_decoder", "mask_decoder"),
    (r"^sam_prompt_encoder", "prompt_encoder"),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0", "mask_embed.conv1"),
    (r"mask_downscaling\.1", "mask_embed.layer_norm1"),
    (r"mask_downscaling\.3", "mask_embed.conv2"),
    (r"mask_downscaling\.4", "mask_embed.layer_norm2"),
    (r"mask_downscaling\.6", "mask_embed.conv3"),
    (r"output_upscaling\.0", "upscale_conv1"),
    (r"output_upscaling\.1", "upscale_layer_norm"),
    (r"output_upscaling\.3", "upscale_conv2"),
    (r"\.norm", ".layer_norm"),
    (r"\.out_proj\.", ".o_proj."),
    (r"mlp\.layers\.0", "mlp.proj_in"),
    (r"mlp\.layers\.1", "mlp.proj_out"),
    (r"(mlps\.\d|_head)\.layers\.0", r"\1.proj_in"),
    (r"(mlps\.\d|_head)\.layers\.2", r"\1.proj_out"),
    (r"(mlps\.\d|_head)\.layers\.1", r"\1.layers.0"),
]
"""What the same tensor is called by Meta (a pattern) and by transformers, applied in this order."""


def tiny_config(folder: Path) -> Path:
    """A configuration like that of Meta's tiny network, but for a frame of 256 pixels and a narrow image encoder."""
    sam2 = pytest.importorskip("sam2", reason=WHY)
    from omegaconf import OmegaConf

    content = OmegaConf.load(Path(sam2.__file__).with_name("configs") / "sam2.1" / "sam2.1_hiera_t.yaml")
    content.model.image_size = 256
    content.model.image_encoder.trunk.update(
        {"embed_dim": 16, "stages": [1, 1, 2, 1], "global_att_blocks": [3], "window_spec": [8, 4, 8, 4]}
    )
    content.model.image_encoder.neck.backbone_channel_list = [128, 64, 32, 16]
    path = folder / "tiny.yaml"
    OmegaConf.save(content, path)
    return path


def save_for_transformers(weights: dict[str, Any], folder: Path) -> None:
    """Write the network of `tiny_config` as a checkpoint folder of transformers', with these weights of Meta's."""
    import torch
    from transformers import Sam2Config, Sam2Model

    hiera = {
        "model_type": "sam2_hiera_det_model", "image_size": [256, 256], "hidden_size": 16,
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128], "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 8, 4], "global_attention_blocks": [3],
    }  # fmt: skip
    vision: dict[str, Any] = {
        "backbone_config": hiera, "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
    }  # fmt: skip
    model = Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config={"image_size": 256}))
    named = {}
    for name, tensor in weights.items():
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        named[name] = tensor
    points = [named.pop(f"prompt_encoder.point_embeddings.{label}.weight") for label in range(4)]
    named["prompt_encoder.point_embed.weight"] = torch.cat(points)
    named["shared_image_embedding.positional_embedding"] = named["prompt_encoder.shared_embedding.positional_embedding"]
    missing = model.load_state_dict(named, strict=False).missing_keys
    assert not missing, missing
    model.save_pretrained(folder)
