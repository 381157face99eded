"""SAM 3 through transformers, from a checkpoint folder: words to its detector, prompts to its tracker.

`Sam3Model` takes words (its boxes are examples of a concept, and it takes no points), `Sam3TrackerModel` takes boxes,
points and masks. Both stand on the same backbone, which runs once for a view, as in `Sam3VideoModel`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, CLIPTokenizer, Sam3Model, Sam3TrackerModel
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from rsagent_ros.agent.errors import RunFailed, ToolFailed, describe
from rsagent_ros.checkpoint import AGAIN, check_weights, read_config, unusable
from rsagent_ros.segmenters.encodings import Features
from rsagent_ros.segmenters.phrase_tokens import PhraseTokens
from rsagent_ros.segmenters.pixel_file import HALF, read_input_format
from rsagent_ros.segmenters.sam2_network import place
from rsagent_ros.segmenters.sam2_tensors import InputFormat, PromptTensors
from rsagent_ros.segmenters.sam3_config import Sam3Config
from rsagent_ros.segmenters.transformers_sam2 import load_model, prompt_parts, run_prompts

MODEL_TYPE = "sam3_video"
"""In config.json of a whole SAM 3, as it is published: the detector and the tracker, with one backbone."""

_LEVELS = 3
"""Maps that either head uses, fine to coarse; a neck makes one more, which neither does."""


class TransformersSam3:
    """A whole SAM 3, as a Sam2Network that takes words, too."""

    def __init__(
        self,
        detector: Any,
        tracker: Any,
        tokens: PhraseTokens,
        input_format: InputFormat,
        config: Sam3Config,
        name: str,
    ) -> None:
        """Join a Sam3Model and a Sam3TrackerModel with the same backbone, and place them on their device.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: there is no such device. OUT_OF_MEMORY: it is full.
        """
        self._detector, self._tracker, self._tokens = detector, tracker, tokens
        tracker.vision_encoder.backbone = detector.vision_encoder.backbone
        self.device, self.dtype = place(nn.ModuleList([detector, tracker]), detector.vision_encoder, config)
        self.input_format = input_format
        self.name = name
        self._threshold = config.threshold

    @staticmethod
    def load(config: Sam3Config) -> TransformersSam3:
        """Load from a folder; blocks until done, and downloads nothing.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: the checkpoint or the device can't be used. OUT_OF_MEMORY.
        """
        folder = Path(config.checkpoint).expanduser()
        content = read_config(folder)
        if content["model_type"] != MODEL_TYPE:
            raise unusable(
                f"{folder / 'config.json'} is of a {content['model_type']!r}, which is no whole SAM 3 ({MODEL_TYPE})",
                "name a folder with one, such as sam3, or choose the segmenter sam2",
            )
        check_weights(folder)
        try:
            described = AutoConfig.for_model("sam3", **_part(content, "detector_config"))
            detector = load_model(Sam3Model, folder, described)
            # It brings a backbone of its own, of which nothing is kept.
            prompted = prompt_parts(_part(content, "tracker_config"))
            tracker = load_model(Sam3TrackerModel, folder, AutoConfig.for_model("sam3_tracker", **prompted))
        except RunFailed:
            raise
        except Exception as error:  # configurations, torch and transformers each have errors of their own for nonsense
            raise unusable(f"{folder / 'config.json'} describes no SAM 3 ({describe(error)})", AGAIN) from error
        text = described.text_config
        tokens = PhraseTokens.load(CLIPTokenizer, folder, text.vocab_size, text.max_position_embeddings, padded=True)
        encoder = tracker.prompt_encoder
        expected = read_input_format(folder, encoder.input_image_size, encoder.mask_input_size[0], HALF)
        return TransformersSam3(detector, tracker, tokens, expected, config, f"sam3:{folder.resolve().name}")

    def embed(self, pixels: torch.Tensor) -> Features:
        """Pixels to the three maps of the tracker's neck and the three of the detector's: see Sam2Network."""
        seen = self._detector.get_vision_features(pixels)
        words = seen.fpn_hidden_states[:_LEVELS]
        tracker = self._tracker
        grid = seen.last_hidden_state.transpose(1, 2).unflatten(2, words[-1].shape[-2:])
        fine, middle, coarse = tracker.vision_encoder.neck(grid)[0][:_LEVELS]
        decoder = tracker.mask_decoder
        # `Sam3TrackerModel.get_image_embeddings` (transformers 5.23) adds this to the map that no head uses, unlike its
        # model for video and unlike Meta's own predictor.
        coarse = coarse + tracker.no_memory_embedding.view(1, -1, 1, 1)
        return (decoder.conv_s0(fine), decoder.conv_s1(middle), coarse, *words)

    def decode(self, features: Features, prompts: PromptTensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps and prompts to logits and scores: see Sam2Network."""
        return run_prompts(self._tracker, features[:_LEVELS], prompts)

    def find(self, features: Features, phrase: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(N,) scores and (N, h, w) logits of the masks of what a phrase names, as far as the scores reach.

        Raises:
            ToolFailed: The phrase can't be looked for, or the answer is not a number.
        """
        ids, mask = self._tokens(phrase, self.device)
        maps = [level.float() for level in features[_LEVELS:]]
        encoding = self._detector.vision_encoder.neck.position_encoding
        places = [encoding(level.shape, level.device, level.dtype) for level in maps]
        # The model leaves the last of its maps out.
        seen = Sam3VisionEncoderOutput(fpn_hidden_states=(*maps, maps[-1]), fpn_position_encoding=(*places, places[-1]))
        answer = self._detector(vision_embeds=seen, input_ids=ids, attention_mask=mask)
        scores = (answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0]
        logits = answer.pred_masks[0]
        if not (torch.isfinite(scores).all() and torch.isfinite(logits).all()):
            raise ToolFailed("not_a_number", "The segmenter's answer was not a number. Try other words, or a box.")
        kept = scores > self._threshold
        return scores[kept], logits[kept]


def _part(content: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of config.json.

    Raises:
        TypeError: It is missing.
    """
    part = content.get(name)
    if not isinstance(part, dict):
        raise TypeError(f"{name} is missing")
    return {key: value for key, value in part.items() if key != "model_type"}
