"""Tiny random weights of a whole SAM 3: detector and tracker around one image encoder, as it is published.

For tests, CI and the dry run of a deployment, like those of `tiny.py`; about 6 MB.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import AutoConfig, Sam3VideoModel

from rsagent_ros.checkpoint import SINGLE
from rsagent_ros.weights.tiny_sam2 import GREY_PIXELS, MEMORY, MEMORY_WIDTH, random_model, sam3_vision, write_pixels
from rsagent_ros.weights.tiny_words import tiny_clip_tokenizer

SIDE, PATCH = 224, 14
TEXT_LENGTH = 32
_TEXT_WIDTH = 32
_QUERIES = 20


def save_tiny_sam3(folder: Path, seed: int = 0) -> None:
    """Write a whole SAM 3 into a new or empty folder; the same for the same seed.

    Raises:
        FileExistsError: The folder has something in it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    tokenizer = tiny_clip_tokenizer(TEXT_LENGTH)
    width, vision = MEMORY_WIDTH, sam3_vision(MEMORY_WIDTH)
    text = {
        "model_type": "clip_text_model",
        "vocab_size": len(tokenizer),
        "hidden_size": _TEXT_WIDTH,
        "intermediate_size": 2 * _TEXT_WIDTH,
        "projection_dim": _TEXT_WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": TEXT_LENGTH,
        "hidden_act": "gelu",
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    head: dict[str, Any] = {"hidden_size": width, "num_attention_heads": 4}
    layers = {**head, "num_layers": 1, "intermediate_size": width}
    detector = {
        "model_type": "sam3",
        "vision_config": vision,
        "text_config": text,
        "geometry_encoder_config": {**layers, "roi_size": 2},
        "detr_encoder_config": layers,
        "detr_decoder_config": {**layers, "num_queries": _QUERIES},
        "mask_decoder_config": head,
    }
    tracker = {
        "model_type": "sam3_tracker_video",
        "vision_config": vision,
        "prompt_encoder_config": {"image_size": SIDE, "patch_size": PATCH, "hidden_size": width},
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": width,
            "iou_head_hidden_dim": width,
            "num_attention_heads": 4,
        },
        **MEMORY,
        "image_size": SIDE,
    }
    described: Any = AutoConfig.for_model("sam3_video", detector_config=detector, tracker_config=tracker)
    model = random_model(partial(Sam3VideoModel, described), seed)
    folder.mkdir(parents=True, exist_ok=True)
    # Not by the model itself, which (transformers 5.23) puts the tracker's prefix before it once more.
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / SINGLE, {"format": "pt"})
    described.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_pixels(folder, {"image_processor_type": "Sam3ImageProcessorFast", **GREY_PIXELS}, SIDE)
