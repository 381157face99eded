"""SAM 2 and 2.1 through Meta's own `sam2` package, from Meta's own `.pt` files.

The file is read as plain tensors (`weights_only`), never as a pickle of objects. Its tensors tell which of the eight
networks it holds, whatever its name.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsagent_ros.agent.errors import describe
from rsagent_ros.checkpoint import AGAIN, unusable
from rsagent_ros.segmenters.encodings import Features
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_network import place
from rsagent_ros.segmenters.sam2_tensors import InputFormat, PromptTensors

_INSTALL = "pip install hydra-core iopath && SAM2_BUILD_CUDA=0 pip install --no-deps --no-build-isolation sam2==1.1.0"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_SIZES = {(96, 12): "t", (96, 16): "s", (112, 24): "b+", (144, 48): "l"}
"""Channels and blocks of the image encoder: the name of the network's size."""


class MetaSam2:
    """A network of Meta's package, as a Sam2Network."""

    def __init__(self, model: Any, config: Sam2Config, name: str) -> None:
        """Place the model, a `sam2.modeling.sam2_base.SAM2Base`, on its device.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: there is no such device. OUT_OF_MEMORY: it is full.
        """
        self._model = model
        self.device, self.dtype = place(model, model.image_encoder, config)
        mask_input_size = model.sam_prompt_encoder.mask_input_size[0]
        self.input_format = InputFormat(model.image_size, mask_input_size, _MEAN, _STD)
        self.name = name

    @staticmethod
    def load(config: Sam2Config) -> MetaSam2:
        """Load from a `.pt` file; blocks until done, and downloads nothing.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: the file, the package or the device can't be used. OUT_OF_MEMORY.
        """
        path = Path(config.checkpoint).expanduser()
        weights = _weights(path)
        described = _described(path, weights)
        try:
            model = build(described)
        except ImportError as error:
            raise unusable(f"{path} needs Meta's package ({describe(error)})", _INSTALL) from error
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise unusable(f"{path} does not fit {described} ({describe(error)})", AGAIN) from error
        return MetaSam2(model, config, f"meta_sam2:{path.stem}")

    def embed(self, pixels: torch.Tensor) -> Features:
        """Pixels to feature maps: see Sam2Network."""
        model = self._model
        *fine, coarse = model.forward_image(pixels)["backbone_fpn"][-model.num_feature_levels :]
        if model.directly_add_no_mem_embed:
            coarse = coarse + model.no_mem_embed.view(1, -1, 1, 1)
        return (*fine, coarse)

    def decode(self, features: Features, prompts: PromptTensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps and prompts to logits and scores: see Sam2Network."""
        model = self._model
        *fine, coarse = (level.float() for level in features)
        sparse, dense = model.sam_prompt_encoder(
            points=(prompts.point_coords, prompts.point_labels), boxes=None, masks=prompts.mask_input
        )
        logits, scores, _, _ = model.sam_mask_decoder(
            image_embeddings=coarse,
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=prompts.multimask_output,
            repeat_image=True,
            high_res_features=fine,
        )
        return logits, scores


def build(description: str) -> nn.Module:
    """A network of Meta's package with random weights, by the path of its configuration within the package.

    Like `sam2.build_sam.build_sam2`, without Hydra's global state, which breaks where anyone else uses it.

    Raises:
        ImportError: The package is not there.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    package = find_spec("sam2")
    if package is None or package.origin is None:
        raise ImportError("No module named 'sam2'", name="sam2")
    content = OmegaConf.load(Path(package.origin).with_name("configs") / description)
    stable = {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
    OmegaConf.update(content, "model.sam_mask_decoder_extra_args", stable, force_add=True)
    model: nn.Module = instantiate(content.model, _recursive_=True)
    return model.eval()


def _weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.pt` file.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: it is missing, damaged, or holds other things than tensors.
    """
    if not path.is_file():
        raise unusable(f"there is no file {path}", "download it from github.com/facebookresearch/sam2, or name another")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have errors of their own for a bad file
        raise unusable(f"{path} can't be read as plain weights ({describe(error)})", AGAIN) from error
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise unusable(f"{path} holds no weights under the name 'model', so it is no checkpoint of SAM 2", AGAIN)
    return weights


def _described(path: Path, weights: dict[str, torch.Tensor]) -> str:
    """The configuration for these tensors, as a path within the package.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: none does.
    """
    trunk = "image_encoder.trunk."
    first = weights.get(f"{trunk}patch_embed.proj.weight")
    blocks = {
        name.removeprefix(f"{trunk}blocks.").split(".")[0] for name in weights if name.startswith(f"{trunk}blocks.")
    }
    size = None if first is None else _SIZES.get((first.shape[0], len(blocks)))
    if size is None:
        raise unusable(
            f"{path} holds none of Meta's SAM 2 networks (tiny, small, base plus, large)", "name another file"
        )
    version = "sam2.1" if "no_obj_embed_spatial" in weights else "sam2"
    return f"{version}/{version}_hiera_{size}.yaml"
