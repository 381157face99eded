"""SAM 2.1 of the real size, random weights, on a machine with CUDA: milliseconds beside what the chip could do.

    python benchmarks/gpu_sam2.py [--size large|tiny] [--compile] [--device cuda]

Prints JSON: the machine, and a list of entries as in `out/bench.json`. The chip's matrix rate and bandwidth are
measured too. A floor is the larger of two: the operations of the network, counted by torch, at the matrix rate; and the
bytes that have to be read at least (the weights once, for a prompt also the encoding) at the bandwidth. Not part of
`make bench`: it needs the extra [models] and minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
import transformers
from entry import Entry, reported
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForMaskGeneration

from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.segmenter import MaskPrompt
from rsagent_ros.segmenters.sam2 import Sam2Segmenter
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_tensors import InputFormat, to_pixels, to_tensors
from rsagent_ros.segmenters.transformers_sam2 import TransformersSam2

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 96, "num_attention_heads": 1, "blocks": [1, 2, 7, 2], "windows": [8, 4, 14, 7], "all": [5, 7, 9],
    },
    "large": {
        "hidden_size": 144, "num_attention_heads": 2, "blocks": [2, 6, 36, 4], "windows": [8, 4, 16, 8],
        "all": [23, 33, 43],
    },
}  # fmt: skip
"""Image encoders of SAM 2.1: hiera-tiny and hiera-large."""

FORMAT = InputFormat(1024, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
WIDTH, HEIGHT = 1920, 1080
PROMPTS = 10
LIMIT_PROMPTS = 10
"""So many prompts are to fit into the time of one encoding."""


def main(argv: list[str]) -> int:
    """Measure and print; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="large")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true", help="compile the image encoder")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args(argv)
    config = Sam2Config("random", device=arguments.device, compile=arguments.compile, encodings_megabytes=2_000.0)
    network = TransformersSam2(random_model(arguments.size), FORMAT, config, f"sam2:hiera-{arguments.size}, random")
    entries = measure(network, arguments.rounds)
    machine = torch.cuda.get_device_name() if network.device.type == "cuda" else "CPU"
    facts = {"machine": machine, "torch": torch.__version__, "transformers": transformers.__version__}
    sys.stdout.write(json.dumps(facts | {"entries": [asdict(entry) for entry in entries]}, indent=1) + "\n")
    return 1 if any(entry.ok is False for entry in entries) else 0


def random_model(size: str) -> Any:
    """SAM 2.1 of that size as transformers builds it."""
    hiera = SIZES[size]
    widths = [hiera["hidden_size"] * 2**stage for stage in range(4)]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": hiera["hidden_size"],
        "num_attention_heads": hiera["num_attention_heads"],
        "blocks_per_stage": hiera["blocks"],
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [hiera["num_attention_heads"] * 2**stage for stage in range(4)],
        "window_size_per_stage": hiera["windows"],
        "global_attention_blocks": hiera["all"],
    }
    vision = {"model_type": "sam2_vision_model", "backbone_config": backbone, "backbone_channel_list": widths[::-1]}
    torch.manual_seed(0)
    return AutoModelForMaskGeneration.from_config(AutoConfig.for_model("sam2", vision_config=vision))


def measure(network: TransformersSam2, rounds: int) -> list[Entry]:
    """Encoding, one prompt, a batch of prompts; each beside its floor."""
    segmenter = Sam2Segmenter(network, encodings_megabytes=2_000.0)
    started = time.perf_counter()
    segmenter.warm_up()
    warm_up = time.perf_counter() - started
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(rounds + 3)]
    box = MaskPrompt.of(box=Box(500.0, 300.0, 1400.0, 900.0))
    boxes = [MaskPrompt.of(box=Box(100.0 * number, 300.0, 100.0 * number + 800.0, 900.0)) for number in range(PROMPTS)]
    point = MaskPrompt.of(positive=(Point(960.0, 540.0),))

    def whole(image: NDArray[np.uint8]) -> None:
        segmenter.encode(image)
        wait(network.device)

    encode = middle([partial(whole, image) for image in frames])
    encoding = segmenter.encode(frames[-1])
    one, three, batch = (
        middle([call] * (rounds + 3))
        for call in (
            lambda: segmenter.masks(encoding, box),
            lambda: segmenter.masks(encoding, point),
            lambda: segmenter.masks_batch(encoding, boxes),
        )
    )
    rate, bandwidth = matrix_rate(network.device, network.dtype), copy_bandwidth(network.device)
    encoder_work, prompt_work, encoding_bytes = work(network, frames[0], box)
    weights = sum(weight.nbytes for weight in network._model.vision_encoder.parameters())
    decoder = sum(weight.nbytes for weight in network._model.mask_decoder.parameters())
    encode_floor = max(encoder_work / rate, weights / bandwidth)
    prompt_floor = max(prompt_work / rate, (decoder + encoding_bytes) / bandwidth)
    size = f"{WIDTH} x {HEIGHT}, {str(network.dtype).removeprefix('torch.')}"
    at_once, after_another = PROMPTS * encode / batch, encode / one
    return [
        reported("matrix rate", rate / 1e12, "TFLOP/s", "of a large product"),
        reported("bandwidth", bandwidth / 1e9, "GB/s", "a copy, bytes read and written"),
        reported("warm-up", warm_up, "s", "kernels, and compiling where asked for"),
        reported("encode", 1e3 * encode, "ms", f"{size}; hash, upload and resizing included"),
        reported("encode: floor", 1e3 * encode_floor, "ms", f"{encoder_work / 1e9:.0f} GFLOP, {weights / 1e6:.0f} MB"),
        reported("encode: floor / time", encode_floor / encode, ""),
        reported("one box", 1e3 * one, "ms", "one mask at full size, brought to the CPU"),
        reported("one point", 1e3 * three, "ms", "three masks at full size, brought to the CPU"),
        reported("one box: floor", 1e3 * prompt_floor, "ms", f"{prompt_work / 1e9:.1f} GFLOP"),
        reported(f"{PROMPTS} boxes in a batch", 1e3 * batch, "ms"),
        reported("prompts one after another in the time of an encoding", after_another, ""),
        at_least("prompts in a batch in the time of an encoding", at_once, "", LIMIT_PROMPTS),
    ]


def at_least(name: str, value: float, unit: str, limit: float) -> Entry:
    """A figure that must not be smaller than the limit."""
    return Entry(name, round(value, 3), unit, f">= {limit:g}", value >= limit)


def work(network: TransformersSam2, image: NDArray[np.uint8], prompt: MaskPrompt) -> tuple[int, int, int]:
    """Floating-point operations of an encoding and of a prompt, and bytes of an encoding."""
    pixels = to_pixels(image, FORMAT, network.device)
    half = network.dtype is not torch.float32
    with torch.inference_mode(), torch.compiler.set_stance("force_eager"):  # compiled code can't be counted
        with (
            FlopCounterMode(display=False) as encoder,
            torch.autocast(network.device.type, network.dtype, enabled=half),
        ):
            features = network.embed(pixels)
        given = to_tensors([prompt], (HEIGHT, WIDTH), FORMAT, network.device)
        with FlopCounterMode(display=False) as decoder:
            network.decode(tuple(level.float() for level in features), given)
    return encoder.get_total_flops(), decoder.get_total_flops(), sum(level.nbytes for level in features)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product."""
    side = 8192 if device.type == "cuda" else 1024
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def multiply() -> None:
        torch.mm(one, other)
        wait(device)

    return 2 * side**3 / middle([multiply] * 13)


def copy_bandwidth(device: torch.device) -> float:
    """Bytes read and written a second."""
    source = torch.empty(2**30 if device.type == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        wait(device)

    return 2 * source.nbytes / middle([copy] * 13)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def middle(calls: list[Callable[[], object]]) -> float:
    """Median of the seconds that calls take, without the first three."""
    seconds = []
    for call in calls:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[3:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
