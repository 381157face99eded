"""Tiny random weights of the vision-language families: real architecture, real files, 0.3 M parameters, no training.

For tests, CI and the dry run of a deployment: they load through the same path as real weights and answer in
milliseconds on a CPU, with nonsense. The tokenizer is a small one of the same kind (byte-level BPE with Qwen's splits
and special tokens), made here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForImageTextToText, PreTrainedModel, Qwen2_5_VLConfig, Qwen3VLConfig

from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN, FIRST_TOOLS, TOOLS
from rsagent_ros.policies.family import (
    CHAT_TEMPLATE,
    END_OF_TEXT,
    MESSAGE_END,
    MESSAGE_START,
    PICTURE,
    PICTURE_END,
    PICTURE_START,
    QWEN2_5_VL,
    VISION_TOKENS,
    Family,
)
from rsagent_ros.policies.trained_format import NEWEST_FORMAT, TrainedFormat, write_format

VIDEO = "<|video_pad|>"
SPLITS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    "system\nuser\nassistant\n<think>The red mug is on the left of the blue box.</think>",
    '{"instruction": "the second green cup", "image": [640, 480], "view": [0, 0, 640, 480], "turns_left": 8}',
    '{"name": "segment", "arguments": {"box": [120, 340, 260, 520]}}\n{"mask": 1, "score": 0.93, "area_percent": 4.5}',
    # Those of release 0.1.0: another corpus would be another tokenizer, and what was trained with it another model.
    *(f"- {name}: {TOOLS[name].meaning} {' '.join(TOOLS[name].arguments)}" for name in FIRST_TOOLS),
]


@dataclass(frozen=True)
class Size:
    """Size of a network.

    Attributes:
        width, heads, layers: Size of the language model. vLLM has kernels for heads of 32, 64, 80 ... numbers only.
        vision_width, vision_heads, vision_layers: Size of the vision tower.
        spread: Standard deviation of the random weights. The default is large: with the usual 0.02 a wrong position
            or mask hardly shows in the logits. Networks for training want the usual one.
    """

    width: int = 64
    heads: int = 2
    layers: int = 2
    vision_width: int = 32
    vision_heads: int = 2
    vision_layers: int = 2
    spread: float = 0.1


TINY = Size()


def save_tiny(
    family: Family, folder: Path, seed: int = 0, *, size: Size = TINY, tokenizer: Tokenizer | None = None
) -> None:
    """Write weights of that family into a new or empty folder; about 1 MB, the same for the same seed.

    Args:
        family: Architecture; one with a smaller `multiple` has smaller patches.
        folder: Target.
        seed: Seed of the random weights.
        size: Size of the network.
        tokenizer: One with the special tokens of `tiny_tokenizer`, which is the default.

    Raises:
        FileExistsError: The folder has something in it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer() if tokenizer is None else tokenizer
    tiny_model(family, tokenizer, seed, size).save_pretrained(folder)
    save_processing(family, tokenizer, folder)


def tiny_model(family: Family, tokenizer: Tokenizer, seed: int = 0, size: Size = TINY) -> PreTrainedModel:
    """A model of that family with random float32 weights, on the CPU; the global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = tiny_config(family, tokenizer, size)
        model: PreTrainedModel = AutoModelForImageTextToText.from_config(config, dtype=torch.float32).eval()
    return model


def tiny_config(family: Family, tokenizer: Tokenizer, size: Size = TINY) -> Qwen2_5_VLConfig | Qwen3VLConfig:
    """The family's architecture, a few layers high, with the token ids of this tokenizer."""
    spread = {"initializer_range": size.spread}
    head = size.width // size.heads
    text: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": size.width,
        "intermediate_size": 3 * size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads // 2,
        "max_position_embeddings": 16384,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e4,
            "mrope_section": [head // 4, head // 8, head // 8],
        },
        "bos_token_id": None,
        "eos_token_id": tokenizer.token_to_id(MESSAGE_END),
        "pad_token_id": tokenizer.token_to_id(END_OF_TEXT),
        **spread,
    }
    vision: dict[str, Any] = {
        "depth": size.vision_layers,
        "hidden_size": size.vision_width,
        "intermediate_size": 2 * size.vision_width,
        "num_heads": size.vision_heads,
        "patch_size": family.multiple // 2,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": size.width,
        **spread,
    }
    ids: dict[str, Any] = {
        "image_token_id": tokenizer.token_to_id(PICTURE),
        "video_token_id": tokenizer.token_to_id(VIDEO),
        "vision_start_token_id": tokenizer.token_to_id(PICTURE_START),
        "vision_end_token_id": tokenizer.token_to_id(PICTURE_END),
        "tie_word_embeddings": True,
    }
    if family.model_type == QWEN2_5_VL.model_type:
        vision |= {"window_size": 8 * vision["patch_size"], "fullatt_block_indexes": [size.vision_layers - 1]}
        return Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids)
    text |= {"head_dim": head}
    text["rope_parameters"]["mrope_interleaved"] = True
    vision |= {"num_position_embeddings": 256, "deepstack_visual_indexes": [0]}
    return Qwen3VLConfig(text_config=text, vision_config=vision, **ids)


def tiny_tokenizer(corpus: Sequence[str] = CORPUS, words: int = 1024, whole: Sequence[str] = ()) -> Tokenizer:
    """Byte-level BPE with a few hundred tokens and the special tokens of the families: it can spell anything.

    Args:
        corpus: Texts to learn from.
        words: Most tokens to learn; 256 of them are bytes.
        whole: Texts that are one token each.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=words, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([END_OF_TEXT, MESSAGE_START, MESSAGE_END, *VISION_TOKENS])
    # Whole tokens as in Qwen's vocabulary, but not special: they are text that a model writes.
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in (CALL_OPEN, CALL_CLOSE, *whole)])
    return tokenizer


def save_processing(family: Family, tokenizer: Tokenizer, folder: Path, trained: TrainedFormat = NEWEST_FORMAT) -> None:
    """Write the files beside the weights: tokenizer, chat template, pixel normalisation, what it is trained with."""
    tokenizer.save(str(folder / "tokenizer.json"))
    # The families' own files name these classes; transformers finds its processors by them.
    older = family.model_type == QWEN2_5_VL.model_type
    processor = "Qwen2_5_VLProcessor" if older else "Qwen3VLProcessor"
    specials = [MESSAGE_START, MESSAGE_END, *VISION_TOKENS]
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "processor_class": processor,
            "model_max_length": 16384,
            "eos_token": MESSAGE_END,
            "pad_token": END_OF_TEXT,
            "additional_special_tokens": specials,
        },
    )
    half = [0.5, 0.5, 0.5]
    _write(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": processor,
            "patch_size": family.multiple // 2,
            "merge_size": 2,
            "temporal_patch_size": 2,
            "image_mean": [0.48145466, 0.4578275, 0.40821073] if older else half,
            "image_std": [0.26862954, 0.26130258, 0.27577711] if older else half,
            "size": {"shortest_edge": 4 * family.multiple**2, "longest_edge": 16384 * family.multiple**2},
        },
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE.read_text())
    write_format(folder, trained)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
