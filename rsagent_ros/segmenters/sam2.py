"""The Segmenter over SAM 2.1, EdgeTAM or the SAM 3 tracker, which take the same prompts.

    segmenter = open_sam2(Sam2Config("models/sam2.1-hiera-large"))   # a folder as `rsagent models fetch` makes it
    segmenter = open_sam2(Sam2Config("sam2.1_hiera_large.pt"))       # Meta's own file, through Meta's own package
    segmenter.warm_up()

A prompt with `multimask_output` (a single point) gets three candidates, any other prompt one. Scores are the network's
own estimate of the IoU.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from rsagent_ros.agent.errors import RunFailed, ToolFailed
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.devices import is_full
from rsagent_ros.segmenters.encodings import EncodingStore, Features
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_network import Sam2Network
from rsagent_ros.segmenters.sam2_tensors import LOGIT_LIMIT, form, to_masks, to_pixels, to_tensors

_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)

PROMPTS_AT_ONCE = 16
"""More prompts of one form take several passes: each needs about 60 MB while it is decoded."""

GREY = np.full((48, 64, 3), 128, dtype=np.uint8)
"""The image of `warm_up`."""


@dataclass(frozen=True, eq=False)
class Sam2Encoding:
    """Handle of an encoded image, held by the caller. The features stay with the segmenter, which bounds them.

    Attributes:
        image: (H, W, 3) uint8 RGB, not copied: should its features be dropped, they are computed again from it.
        key: Hash of the image's content: equal images are encoded once.
    """

    image: NDArray[np.uint8]
    key: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]


class Sam2Segmenter:
    """A Segmenter over a network. Thread-safe: calls wait for one another."""

    def __init__(self, network: Sam2Network, *, encodings_megabytes: float = 512.0) -> None:
        """Take a network; nothing runs yet.

        Args:
            network: The network, on its device.
            encodings_megabytes: Most memory for encodings, of all episodes together.
        """
        self._network = network
        self._store = EncodingStore(int(encodings_megabytes * 1e6))
        self._lock = threading.Lock()
        self._warned = False

    @property
    def name(self) -> str:
        """Architecture and checkpoint."""
        return self._network.name

    @property
    def encoding_bytes(self) -> int:
        """Memory that encodings take now."""
        with self._lock:
            return self._store.nbytes

    def encode(self, image: NDArray[np.uint8]) -> Sam2Encoding:
        """Prepare a (H, W, 3) uint8 RGB image, which must not change from then on.

        Blocks while the CPU works; a GPU may still be at it when this returns.

        Raises:
            RunFailed: OUT_OF_MEMORY.
        """
        image = np.ascontiguousarray(image)
        encoding = Sam2Encoding(image, hashlib.sha256(image.data).digest() + repr(image.shape).encode())
        self._run(partial(self._features, encoding))
        return encoding

    def masks(self, encoding: Sam2Encoding, prompt: MaskPrompt) -> list[Candidate]:
        """Candidates for one prompt: three for a single point, else one.

        Raises:
            ToolFailed: The network answered with something that is not a number.
            RunFailed: OUT_OF_MEMORY.
        """
        return self.masks_batch(encoding, [prompt])[0]

    def masks_batch(self, encoding: Sam2Encoding, prompts: Sequence[MaskPrompt]) -> list[list[Candidate]]:
        """Candidates for each of many prompts over one image, in order; like `masks` otherwise, faster on a GPU."""
        alike: dict[tuple[int, bool, bool], list[int]] = defaultdict(list)
        for number, prompt in enumerate(prompts):
            alike[form(prompt)].append(number)
        answers: dict[int, list[Candidate]] = {}
        for numbers in alike.values():
            for first in range(0, len(numbers), PROMPTS_AT_ONCE):
                part = numbers[first : first + PROMPTS_AT_ONCE]
                part_prompts = [prompts[number] for number in part]
                answers |= zip(part, self._run(partial(self._answers, encoding, part_prompts)), strict=True)
        return [answers[number] for number in range(len(prompts))]

    def warm_up(self) -> None:
        """Encode a grey image and prompt it in each way, so that faults show and kernels are built before a goal comes.

        Raises:
            RunFailed: OUT_OF_MEMORY.
        """
        encoding = self.encode(GREY)
        (first, *_) = self.masks(encoding, MaskPrompt.of(positive=(Point(32.0, 24.0),)))
        self.masks(encoding, MaskPrompt.of(Box(16.0, 12.0, 48.0, 36.0), mask_input=first.logits))
        with self._lock:
            self._store.clear()

    def _features(self, encoding: Sam2Encoding) -> Features:
        """The image's features, computed where they are not kept."""
        features = self._store.get(encoding.key)
        if features is None:
            network = self._network
            pixels = to_pixels(encoding.image, network.input_format, network.device)
            half = network.dtype is not torch.float32
            with torch.autocast(network.device.type, dtype=network.dtype, enabled=half):
                features = network.embed(pixels)
            self._store.put(encoding.key, features)
        return features

    def _answers(self, encoding: Sam2Encoding, prompts: Sequence[MaskPrompt]) -> list[list[Candidate]]:
        """Candidates for each of several prompts of one form."""
        network = self._network
        given = to_tensors(prompts, encoding.size, network.input_format, network.device)
        logits, scores = network.decode(self._features(encoding), given)
        if not (torch.isfinite(logits).all() and torch.isfinite(scores).all()):
            raise ToolFailed("not_a_number", "The segmenter's answer was not a number. Try another box or point.")
        logits = logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        # One prompt after the other: at full size the logits of all of them could be gigabytes.
        return [
            [
                Candidate(mask, float(score), low)
                for mask, score, low in zip(
                    to_masks(mine, encoding.size), own.clamp(0, 1).tolist(), mine.cpu().numpy(), strict=True
                )
            ]
            for mine, own in zip(logits, scores, strict=True)
        ]

    def _run(self, work: Callable[[], _Answer]) -> _Answer:
        """Do it under the lock; where memory is full, once more without the kept encodings.

        A robot may run at the edge of its memory for days: one warning says so, later ones are for debugging.

        Raises:
            RunFailed: OUT_OF_MEMORY: it is full without them, too.
        """
        with self._lock, torch.inference_mode():
            for _ in range(2):
                try:
                    return work()
                except (RuntimeError, MemoryError) as error:
                    if not is_full(error):
                        raise
                # Not in `except`: inside it the error's traceback would still hold the tensors that did not fit.
                freed = self._store.nbytes
                self._store.clear()
                log.log(
                    logging.DEBUG if self._warned else logging.WARNING,
                    "%s: the memory of %s is full; dropped %.0f MB of kept encodings and tried again. "
                    "Views must be encoded again. Give less memory to the model server, or lower encodings_megabytes",
                    *(self.name, self._network.device, freed / 1e6),
                )
                self._warned = True
                if self._network.device.type == "cuda":
                    torch.cuda.empty_cache()
        raise RunFailed(
            ErrorCode.OUT_OF_MEMORY,
            f"{self.name}: the memory of {self._network.device} is full, also without kept encodings; "
            "give less of it to the model server, or use a smaller checkpoint",
        )


def open_sam2(config: Sam2Config) -> Sam2Segmenter:
    """Load a segmenter, without its finder (see `sam2_finder`); blocks while it loads, and downloads nothing.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the checkpoint or the device can't be used; one sentence says why. OUT_OF_MEMORY.
    """
    return Sam2Segmenter(load_network(config), encodings_megabytes=config.encodings_megabytes)


def load_network(config: Sam2Config) -> Sam2Network:
    """Load the network of a segmenter; see `open_sam2`."""
    if config.checkpoint.endswith(".pt"):
        from rsagent_ros.segmenters.meta_sam2 import MetaSam2

        return MetaSam2.load(config)
    from rsagent_ros.segmenters.transformers_sam2 import TransformersSam2

    return TransformersSam2.load(config)
