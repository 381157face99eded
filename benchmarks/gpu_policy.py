"""The local policy at real size on a GPU, with random weights: decoding against the floor of memory bandwidth.

    python benchmarks/gpu_policy.py                     # Qwen2.5-VL-7B's sizes, bfloat16, the first CUDA device
    python benchmarks/gpu_policy.py --size tiny --device cpu     # that the script runs

Not part of `run.py`: it wants 17 GB of GPU memory and some minutes. Prints one JSON object: the machine; the floor, in
which each weight that a token needs is read once at the bandwidth that a copy reaches here; tokens per second with the
growing cache and with compiled CUDA graphs; and the policy's part of a goal of four turns of 100 tokens.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForImageTextToText, PreTrainedModel, Qwen2_5_VLConfig, Qwen3VLConfig

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Picture, Text
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.local.pixels import Patches
from rsagent_ros.policies.local.policy import LocalPolicy
from rsagent_ros.policies.local.vocabulary import Vocabulary
from rsagent_ros.weights.tiny import tiny_config, tiny_tokenizer

TURNS = 4
TOKENS = 100
DECODED = 200
REPEATS = 3


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["7b", "tiny"], default="7b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--context", type=int, default=8192, help="places of the compiled cache")
    parser.add_argument("--no-compile", action="store_true", help="only the growing cache")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    checkpoint = _checkpoint(options.size, device)
    floor = _floor(checkpoint.model, device)
    report: dict[str, object] = {
        "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "size": options.size,
        **floor,
    }
    for compiled in (False,) if options.no_compile else (False, True):
        config = LocalConfig("random", context=options.context, compile=compiled)
        started = time.monotonic()
        policy = LocalPolicy(checkpoint, config)
        policy.warm_up()
        figures = {"warm_up_s": time.monotonic() - started, **_figures(policy)}
        figures["share_of_floor"] = figures["decode_tokens_per_s"] / floor["floor_tokens_per_s"]
        report["compiled" if compiled else "growing"] = {name: round(value, 3) for name, value in figures.items()}
    if device.type == "cuda":
        report["peak_memory_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    print(json.dumps(report, indent=1))
    return 0


def _checkpoint(size: str, device: torch.device) -> Checkpoint:
    """A random model; its tokenizer is the tiny one, which the ids of a random model don't care about."""
    tokenizer = tiny_tokenizer()
    config = tiny_config(QWEN2_5_VL, tokenizer)
    if size == "7b":
        config = _seven_billion(config)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with device:
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa").eval()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(str(Path(folder) / "tokenizer.json"))
        vocabulary = Vocabulary(Path(folder) / "tokenizer.json")
    vocabulary.stop_ids = frozenset()  # every reply has its full length
    mean = std = (0.5, 0.5, 0.5)
    context = config.get_text_config().max_position_embeddings
    logits = config.get_text_config().vocab_size
    return Checkpoint(f"random-{size}", QWEN2_5_VL, model, vocabulary, Patches(14, 2, 2, mean, std), logits, context)


def _seven_billion(tiny: Qwen2_5_VLConfig | Qwen3VLConfig) -> Qwen2_5_VLConfig:
    """The sizes of Qwen2.5-VL-7B-Instruct's config.json, with the special ids of the tiny tokenizer."""
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "max_position_embeddings": 128000,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "out_hidden_size": 3584,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=tiny.image_token_id,
        video_token_id=tiny.video_token_id,
        vision_start_token_id=tiny.vision_start_token_id,
        vision_end_token_id=tiny.vision_end_token_id,
        tie_word_embeddings=False,
    )


def _floor(model: PreTrainedModel, device: torch.device) -> dict[str, float]:
    """The most tokens per second that reading the weights allows."""
    # A token looks up one row of the embeddings, and no picture.
    skipped = {id(weight) for weight in model.model.visual.parameters()}
    if model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        skipped.add(id(model.get_input_embeddings().weight))
    read = sum(weight.numel() * weight.element_size() for weight in model.parameters() if id(weight) not in skipped)
    bandwidth = _bandwidth(device)
    return {
        "weights_read_per_token_gb": round(read / 1e9, 3),
        "bandwidth_of_a_copy_gb_per_s": round(bandwidth / 1e9, 1),
        "floor_tokens_per_s": round(bandwidth / read, 1),
    }


def _bandwidth(device: torch.device) -> float:
    """Bytes per second, read and written, of a large copy."""
    count = 2**30 if device.type == "cuda" else 2**26
    source, target = (torch.empty(count, dtype=torch.uint8, device=device) for _ in range(2))
    times = []
    for _ in range(10):
        _settle(device)
        started = time.perf_counter()
        target.copy_(source)
        _settle(device)
        times.append(time.perf_counter() - started)
    return 2 * count / min(times)


def _figures(policy: LocalPolicy) -> dict[str, float]:
    """Medians over a few conversations."""
    goals = [_goal(policy) for _ in range(REPEATS)]
    firsts = [_reply(policy, 1).seconds for _ in range(REPEATS)]
    longs = [_reply(policy, DECODED).seconds for _ in range(REPEATS)]
    per_token = (statistics.median(longs) - statistics.median(firsts)) / (DECODED - 1)
    return {
        "decode_tokens_per_s": 1 / per_token,
        "first_token_s": statistics.median(firsts),
        f"goal_of_{TURNS}_turns_of_{TOKENS}_tokens_s": statistics.median(map(sum, goals)),
        "turn_2_s": statistics.median(goal[1] for goal in goals),
        f"turn_{TURNS}_s": statistics.median(goal[-1] for goal in goals),
    }


def _goal(policy: LocalPolicy) -> list[float]:
    """Seconds of each reply of a goal."""
    seconds = []
    with closing(policy.open(seed=0)) as conversation:
        for turn in range(TURNS):
            limits = ReplyLimits(TOKENS, math.inf)
            reply = conversation.reply([_message(turn)], limits=limits, cancel=CancelToken())
            seconds.append(reply.seconds)
    return seconds


def _reply(policy: LocalPolicy, tokens: int) -> Reply:
    with closing(policy.open(seed=0)) as conversation:
        return conversation.reply([_message(0)], limits=ReplyLimits(tokens, math.inf), cancel=CancelToken())


def _message(turn: int) -> Message:
    """A long prompt with a picture of 756 x 560, later a line with an overlay of 392 x 392."""
    shape, words = ((560, 756, 3), 150) if turn == 0 else ((392, 392, 3), 10)
    pixels = np.random.default_rng(turn).integers(0, 256, shape, dtype=np.uint8)
    return Message("user", (Text("the red mug " * words), Picture(pixels, "overlay" if turn else "view")))


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main())
