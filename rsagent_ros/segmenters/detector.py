"""Open-vocabulary detectors through transformers, from a checkpoint folder: words to boxes.

MM-Grounding-DINO reads the phrase together with the image, OWLv2 compares what it sees with the phrase. Which one a
folder holds, its config.json says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, BertTokenizer, CLIPTokenizer

from rsagent_ros.agent.errors import RunFailed, ToolFailed, describe
from rsagent_ros.checkpoint import AGAIN, check_weights, read_config, unusable
from rsagent_ros.segmenters.detector_pixels import ShapeKept, Squared
from rsagent_ros.segmenters.phrase_tokens import PhraseTokens
from rsagent_ros.segmenters.pixel_file import CLIP, IMAGENET, read_colours, read_pixel_file
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_network import place
from rsagent_ros.segmenters.transformers_sam2 import load_model

MOST_BOXES = 100
"""Boxes of one phrase that are used, the surest."""


@dataclass(frozen=True)
class _Architecture:
    """A detector that takes words.

    Attributes:
        name: For records and messages.
        threshold: Least score of a box, as its stock processor has it.
        text: A phrase as the network reads it.
        open_tokens: The tokenizer in a folder, for a network of this description.
        open_pixels: The pixels that a network of this description takes.
    """

    name: str
    threshold: float
    text: Callable[[str], str]
    open_tokens: Callable[[Path, Any], PhraseTokens]
    open_pixels: Callable[[Path, Any], ShapeKept | Squared]


class Detector:
    """A detector on its device, ready to run. Called within `torch.inference_mode`.

    Attributes:
        pixels: The pixels that it takes.
        device: The device it runs on.
        name: Architecture and checkpoint.
    """

    def __init__(
        self,
        model: Any,
        architecture: _Architecture,
        tokens: PhraseTokens,
        pixels: ShapeKept | Squared,
        config: Sam2Config,
        name: str,
    ) -> None:
        """Place the model, a PreTrainedModel for zero-shot object detection, on its device; it stays in float32.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: there is no such device. OUT_OF_MEMORY: it is full.
        """
        self._model, self._tokens, self._text = model, tokens, architecture.text
        self.pixels = pixels
        self._threshold = config.finder_threshold or architecture.threshold
        self.device, _ = place(model, model, replace(config, dtype="float32", compile=False))
        self.name = name

    def find(self, image: NDArray[np.uint8], phrase: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Boxes of what a phrase names, the surest first, and their scores.

        Args:
            image: (H, W, 3) uint8 RGB.
            phrase: A noun phrase.

        Returns:
            (N, 4) XYXY in pixels of the image, each with some of the image inside, and (N,) scores, 0..1; N is at most
            `MOST_BOXES`.

        Raises:
            ToolFailed: The phrase can't be looked for, or the answer is not a number.
        """
        ids, mask = self._tokens(self._text(phrase), self.device)
        pixels = self.pixels.prepare(image, self.device)
        answer = self._model(pixel_values=pixels, input_ids=ids, attention_mask=mask)
        scores, boxes = answer.logits[0].sigmoid().amax(-1), answer.pred_boxes[0]
        if not (torch.isfinite(scores).all() and torch.isfinite(boxes).all()):
            raise ToolFailed("not_a_number", "The detector's answer was not a number. Try other words, or a box.")
        height, width = image.shape[:2]
        centres, sizes = boxes.double().cpu().numpy().reshape(-1, 2, 2).swapaxes(0, 1)
        corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
        corners = corners * np.tile(self.pixels.extent(height, width), 2)
        corners = corners.clip(0, [width, height, width, height])
        sure = scores.double().cpu().numpy()
        usable = (sure > self._threshold) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
        order = np.argsort(-sure[usable], kind="stable")[:MOST_BOXES]
        return corners[usable][order], sure[usable][order]


def open_detector(config: Sam2Config) -> Detector:
    """Load the finder of a configuration; blocks until done, and downloads nothing.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the checkpoint or the device can't be used. OUT_OF_MEMORY.
    """
    folder = Path(config.finder).expanduser()
    model_type = read_config(folder)["model_type"]
    if model_type not in _ARCHITECTURES:
        raise unusable(
            f"{folder / 'config.json'} is of a {model_type!r}, which is no detector that takes words "
            f"({', '.join(_ARCHITECTURES)})",
            "name a folder with one of these, such as mm-grounding-dino-tiny",
        )
    architecture = _ARCHITECTURES[model_type]
    check_weights(folder)
    try:
        described = AutoConfig.from_pretrained(folder, local_files_only=True)
        model = load_model(AutoModelForZeroShotObjectDetection, folder, described)
    except RunFailed:
        raise
    except Exception as error:  # configurations, torch and transformers each have errors of their own for nonsense
        raise unusable(
            f"{folder / 'config.json'} describes no {architecture.name} ({describe(error)})", AGAIN
        ) from error
    tokens, pixels = architecture.open_tokens(folder, described), architecture.open_pixels(folder, described)
    return Detector(model, architecture, tokens, pixels, config, f"{architecture.name}:{folder.resolve().name}")


def _sentence(phrase: str) -> str:
    """A phrase as Grounding DINO reads it: a full stop ends each, and one inside would make two of it."""
    words = " ".join(phrase.lower().replace(".", " ").replace("?", " ").split())
    return f"{words}." if words else ""


def _bert_tokens(folder: Path, described: Any) -> PhraseTokens:
    limit = min(described.max_text_len, described.text_config.max_position_embeddings)
    return PhraseTokens.load(BertTokenizer, folder, described.text_config.vocab_size, limit, padded=False)


def _clip_tokens(folder: Path, described: Any) -> PhraseTokens:
    text = described.text_config
    return PhraseTokens.load(CLIPTokenizer, folder, text.vocab_size, text.max_position_embeddings, padded=True)


def _shape_kept(folder: Path, described: Any) -> ShapeKept:
    path, settings = read_pixel_file(folder)
    size = settings.get("size", {"shortest_edge": 800, "longest_edge": 1333})
    match size:
        case {"shortest_edge": int(shorter), "longest_edge": int(longer)} if min(shorter, longer) > 0:
            return ShapeKept(shorter, longer, *read_colours(path, settings, IMAGENET))
    raise unusable(f"{path}: its size is {size}; a shortest_edge and a longest_edge are expected", AGAIN)


def _squared(folder: Path, described: Any) -> Squared:
    path, settings = read_pixel_file(folder)
    side = described.vision_config.image_size
    size = settings.get("size", {"height": side, "width": side})
    if size != {"height": side, "width": side}:
        raise unusable(f"{path} makes pictures of {size}, config.json wants {side} x {side}", AGAIN)
    return Squared(side, *read_colours(path, settings, CLIP))


_ARCHITECTURES = {
    "mm-grounding-dino": _Architecture("mm_grounding_dino", 0.25, _sentence, _bert_tokens, _shape_kept),
    "owlv2": _Architecture("owlv2", 0.1, str, _clip_tokens, _squared),
}
"""By `model_type` in config.json."""
