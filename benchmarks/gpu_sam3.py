"""SAM 3 of the real size, random weights, on a machine with CUDA: milliseconds beside what the chip could do.

    python benchmarks/gpu_sam3.py [--size real|tiny] [--compile] [--device cuda]

NOT RUN on a GPU yet: `--size tiny --device cpu` runs anywhere, and shows that the program works. Prints JSON like
`gpu_sam2.py`, from which rates and floors come. Random weights are sure of nothing, so a threshold of 0 keeps all that
they propose: as many masks as there could be.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from entry import Entry, reported
from gpu_sam2 import HEIGHT, PROMPTS, WIDTH, at_least, copy_bandwidth, matrix_rate, middle, wait
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode
from transformers import Sam3Config as DetectorConfig
from transformers import Sam3Model, Sam3TrackerConfig, Sam3TrackerModel

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.segmenter import MaskPrompt
from rsagent_ros.segmenters.phrase_tokens import PhraseTokens
from rsagent_ros.segmenters.sam2_tensors import InputFormat, to_pixels
from rsagent_ros.segmenters.sam3 import Sam3Segmenter
from rsagent_ros.segmenters.sam3_config import Sam3Config
from rsagent_ros.segmenters.transformers_sam3 import TransformersSam3
from rsagent_ros.weights.tiny_sam3 import TEXT_LENGTH, save_tiny_sam3
from rsagent_ros.weights.tiny_words import tiny_clip_tokenizer

HALF = (0.5, 0.5, 0.5)
PHRASE = "a red mug on the table"
LIMIT_PHRASES = 1
"""So many phrases are to fit into the time of one encoding: a turn with words should cost what a view costs."""


def main(argv: list[str]) -> int:
    """Measure and print; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=("real", "tiny"), default="real")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true", help="compile the image encoder")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args(argv)
    config = Sam3Config(
        "random", device=arguments.device, compile=arguments.compile, encodings_megabytes=4_000.0, threshold=0.0
    )
    network = random_network(arguments.size, config)
    entries = measure(network, arguments.rounds)
    machine = torch.cuda.get_device_name() if network.device.type == "cuda" else "CPU"
    facts = {"machine": machine, "torch": torch.__version__, "transformers": transformers.__version__}
    sys.stdout.write(json.dumps(facts | {"entries": [asdict(entry) for entry in entries]}, indent=1) + "\n")
    return 1 if any(entry.ok is False for entry in entries) else 0


def random_network(size: str, config: Sam3Config) -> TransformersSam3:
    """SAM 3 of that size; the real one as transformers' own defaults describe it."""
    if size == "tiny":
        with tempfile.TemporaryDirectory() as name:
            save_tiny_sam3(Path(name) / "tiny")
            return TransformersSam3.load(
                Sam3Config(str(Path(name) / "tiny"), config.device, threshold=config.threshold)
            )
    torch.manual_seed(0)
    detector, tracker = Sam3Model(DetectorConfig()), Sam3TrackerModel(Sam3TrackerConfig())
    tokens = PhraseTokens(tiny_clip_tokenizer(TEXT_LENGTH), TEXT_LENGTH, padded=True)
    expected = InputFormat(1008, 288, HALF, HALF)
    return TransformersSam3(detector, tracker, tokens, expected, config, "sam3:random")


def measure(network: TransformersSam3, rounds: int) -> list[Entry]:
    """Encoding, words, one prompt, a batch of prompts; the first two beside their floors."""
    segmenter = Sam3Segmenter(network, encodings_megabytes=4_000.0)
    segmenter.warm_up()
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(rounds + 3)]
    box = MaskPrompt.of(box=Box(500.0, 300.0, 1400.0, 900.0))
    boxes = [MaskPrompt.of(box=Box(100.0 * number, 300.0, 100.0 * number + 800.0, 900.0)) for number in range(PROMPTS)]

    def whole(image: NDArray[np.uint8]) -> None:
        segmenter.encode(image)
        wait(network.device)

    encode = middle([partial(whole, image) for image in frames])
    encoding = segmenter.encode(frames[-1])
    found = len(segmenter.find(encoding, PHRASE))

    def look() -> None:
        with torch.inference_mode():
            network.find(features, PHRASE)
        wait(network.device)

    pixels = to_pixels(frames[-1], network.input_format, network.device)
    half = network.dtype is not torch.float32
    with torch.inference_mode(), torch.autocast(network.device.type, network.dtype, enabled=half):
        features = network.embed(pixels)
    words, everything, one, batch = (
        middle([call] * (rounds + 3))
        for call in (
            look,
            lambda: segmenter.find(encoding, PHRASE),
            lambda: segmenter.masks(encoding, box),
            lambda: segmenter.masks_batch(encoding, boxes),
        )
    )
    rate, bandwidth = matrix_rate(network.device, network.dtype), copy_bandwidth(network.device)
    encoder_work, words_work = work(network, pixels, features)
    detector, tracker = network._detector, network._tracker
    encoder_bytes = size_of(detector.vision_encoder) + size_of(tracker.vision_encoder.neck)
    words_bytes = size_of(detector) - size_of(detector.vision_encoder)
    kept = sum(level.nbytes for level in features)
    encode_floor = max(encoder_work / rate, encoder_bytes / bandwidth)
    words_floor = max(words_work / rate, (words_bytes + kept) / bandwidth)
    size = f"{WIDTH} x {HEIGHT}, {str(network.dtype).removeprefix('torch.')}"
    return [
        reported("matrix rate", rate / 1e12, "TFLOP/s", "of a large product"),
        reported("bandwidth", bandwidth / 1e9, "GB/s", "a copy, bytes read and written"),
        reported("encode", 1e3 * encode, "ms", f"{size}; both necks, hash, upload and resizing included"),
        reported("encode: floor", 1e3 * encode_floor, "ms", f"{encoder_work / 1e9:.0f} GFLOP"),
        reported("encode: kept", kept / 1e6, "MB", "maps of both necks"),
        reported("words", 1e3 * words, "ms", "text and detector, float32, without masks at full size"),
        reported("words: floor", 1e3 * words_floor, "ms", f"{words_work / 1e9:.0f} GFLOP at the encoder's rate"),
        reported("words with masks", 1e3 * everything, "ms", f"{found} instances at full size, brought to the CPU"),
        reported("one box", 1e3 * one, "ms", "one mask at full size, brought to the CPU"),
        reported(f"{PROMPTS} boxes in a batch", 1e3 * batch, "ms"),
        at_least("phrases in the time of an encoding", encode / words, "", LIMIT_PHRASES),
    ]


def size_of(part: torch.nn.Module) -> int:
    """Bytes of its weights."""
    return sum(weight.nbytes for weight in part.parameters())


def work(network: TransformersSam3, pixels: torch.Tensor, features: Any) -> tuple[int, int]:
    """Floating-point operations of an encoding and of a phrase."""
    half = network.dtype is not torch.float32
    with torch.inference_mode(), torch.compiler.set_stance("force_eager"):  # compiled code can't be counted
        with FlopCounterMode(display=False) as encoder, torch.autocast(pixels.device.type, network.dtype, enabled=half):
            network.embed(pixels)
        with FlopCounterMode(display=False) as words:
            network.find(features, PHRASE)
    return encoder.get_total_flops(), words.get_total_flops()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
