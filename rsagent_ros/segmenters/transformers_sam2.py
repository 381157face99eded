"""SAM 2.1, EdgeTAM and the SAM 3 tracker through transformers, from a checkpoint folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForMaskGeneration, PreTrainedConfig

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.checkpoint import AGAIN, check_weights, read_config, unusable
from rsagent_ros.segmenters.encodings import Features
from rsagent_ros.segmenters.pixel_file import HALF, IMAGENET, Colours, read_input_format
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_network import place
from rsagent_ros.segmenters.sam2_tensors import InputFormat, PromptTensors


@dataclass(frozen=True)
class _Architecture:
    """A network whose image part takes points, boxes and masks.

    Attributes:
        name: As transformers names it.
        model_types: Values in config.json of checkpoints that hold it: its video form too, as most are published.
        mean, std: Of its pixels, where the checkpoint does not say.
        needs: Remedy where it can't be imported.
    """

    name: str
    model_types: tuple[str, ...]
    mean: Colours
    std: Colours
    needs: str


_EXTRA = "in the checkout: pip install -e '.[models]'; a torchvision, if there is one, must be built for the same torch"
_TIMM = "its encoder needs two packages more: pip install timm, and a torchvision built for the same torch"
_ARCHITECTURES = (
    _Architecture("sam2", ("sam2", "sam2_video"), *IMAGENET, _EXTRA),
    _Architecture("edgetam", ("edgetam", "edgetam_video"), *IMAGENET, _TIMM),
    _Architecture("sam3_tracker", ("sam3_tracker", "sam3_tracker_video", "sam3_video"), *HALF, _EXTRA),
)


class TransformersSam2:
    """A network of transformers' `AutoModelForMaskGeneration`, as a Sam2Network."""

    def __init__(self, model: Any, input_format: InputFormat, config: Sam2Config, name: str) -> None:
        """Place the model, a PreTrainedModel of one of the architectures, on its device.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: there is no such device. OUT_OF_MEMORY: it is full.
        """
        self._model = model
        self.device, self.dtype = place(model, model.vision_encoder, config)
        self.input_format = input_format
        self.name = name

    @staticmethod
    def load(config: Sam2Config) -> TransformersSam2:
        """Load from a folder; blocks until done, and downloads nothing.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: the checkpoint or the device can't be used. OUT_OF_MEMORY.
        """
        folder = Path(config.checkpoint).expanduser()
        content = read_config(folder)
        architecture = _architecture(folder, content["model_type"])
        check_weights(folder)
        try:
            # A folder of SAM 3 describes the detector of concepts too.
            described = AutoConfig.for_model(architecture.name, **prompt_parts(content.get("tracker_config", content)))
            model = load_model(AutoModelForMaskGeneration, folder, described)
        except ImportError as error:
            raise unusable(f"{folder} can't be loaded here ({describe(error)})", architecture.needs) from error
        except RunFailed:
            raise
        except Exception as error:  # configurations, torch and transformers each have errors of their own for nonsense
            raise unusable(
                f"{folder / 'config.json'} describes no {architecture.name} ({describe(error)})", AGAIN
            ) from error
        encoder = model.prompt_encoder
        colours = architecture.mean, architecture.std
        expected = read_input_format(folder, encoder.input_image_size, encoder.mask_input_size[0], colours)
        return TransformersSam2(model, expected, config, f"{architecture.name}:{folder.resolve().name}")

    def embed(self, pixels: torch.Tensor) -> Features:
        """Pixels to feature maps: see Sam2Network."""
        return tuple(self._model.get_image_embeddings(pixels))

    def decode(self, features: Features, prompts: PromptTensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps and prompts to logits and scores: see Sam2Network."""
        return run_prompts(self._model, features, prompts)


def prompt_parts(content: dict[str, Any]) -> dict[str, Any]:
    """Parts of a description that the image part of a network needs: a video form describes a memory, too."""
    wanted = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    return {name: content[name] for name in wanted if name in content}


def run_prompts(model: Any, features: Features, prompts: PromptTensors) -> tuple[torch.Tensor, torch.Tensor]:
    """Feature maps and prompts to logits and scores, by a model of one of the architectures: see Sam2Network."""
    count = prompts.point_coords.shape[0]
    # Each prompt stands as an image of its own: only so can each have its own mask_input.
    answer = model(
        image_embeddings=[level.float().expand(count, -1, -1, -1) for level in features],
        input_points=prompts.point_coords[:, None],
        input_labels=prompts.point_labels[:, None],
        input_masks=prompts.mask_input,
        multimask_output=prompts.multimask_output,
    )
    return answer.pred_masks[:, 0], answer.iou_scores[:, 0]


def _architecture(folder: Path, model_type: str) -> _Architecture:
    for architecture in _ARCHITECTURES:
        if model_type in architecture.model_types:
            return architecture
    known = ", ".join(architecture.name for architecture in _ARCHITECTURES)
    raise unusable(
        f"{folder / 'config.json'} is of a {model_type!r}, which is no segmenter for prompts ({known})",
        "name a folder with one of these, such as sam2.1-hiera-large",
    )


def load_model(kind: Any, folder: Path, described: PreTrainedConfig) -> Any:
    """The model with every weight from the folder's files; `kind` is one of transformers' Auto classes.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: a weight is missing or of another shape.
    """
    model, report = kind.from_pretrained(
        folder,
        config=described,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # they are reported then, and refused below
        output_loading_info=True,
    )
    if mismatched := sorted(report["mismatched_keys"]):
        name, found, expected = mismatched[0]
        raise unusable(
            f"{folder}: the weight {name} is {tuple(found)} in the safetensors and {tuple(expected)} by config.json",
            AGAIN,
        )
    if missing := sorted(report["missing_keys"]):
        raise unusable(
            f"{folder}: {len(missing)} weights are missing in the safetensors, the first is {missing[0]}", AGAIN
        )
    return model
