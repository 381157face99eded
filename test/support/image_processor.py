"""The stock processors without their video part, which wants torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil, Qwen3VLProcessor
from transformers.processing_utils import ProcessorMixin

from rsagent_ros.policies.family import PICTURE, QWEN2_5_VL, Family


class _Tensors(Qwen2VLImageProcessorPil):
    """Gives tensors where nobody says what it shall give, as the one that needs torchvision does."""

    def preprocess(self, images: Any, *given: Any, **named: Any) -> Any:
        return super().preprocess(images, *given, **{**named, "return_tensors": named.get("return_tensors") or "pt"})


class _Qwen25Images(Qwen2_5_VLProcessor):
    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **given: Any) -> None:
        _without_video(self, image_processor, tokenizer, given)


class _Qwen3Images(Qwen3VLProcessor):
    def __init__(self, image_processor: Any = None, tokenizer: Any = None, **given: Any) -> None:
        _without_video(self, image_processor, tokenizer, given)


def _without_video(processor: Any, image_processor: Any, tokenizer: Any, given: dict[str, Any]) -> None:
    processor.image_token, processor.video_token = PICTURE, "<|video_pad|>"
    processor.image_token_id = tokenizer.convert_tokens_to_ids(PICTURE)
    processor.video_token_id = tokenizer.convert_tokens_to_ids("<|video_pad|>")
    ProcessorMixin.__init__(processor, image_processor, tokenizer, chat_template=given.get("chat_template"))


def image_processor(family: Family, folder: Path) -> Any:
    """A processor of text and images for a tiny checkpoint."""
    images = _Tensors.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    kind = _Qwen25Images if family is QWEN2_5_VL else _Qwen3Images
    return kind(image_processor=images, tokenizer=tokenizer)
