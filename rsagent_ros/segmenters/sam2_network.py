"""The network protocol of the SAM segmenters, and placing a network on its device."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.devices import is_full, pick_device, pick_dtype
from rsagent_ros.segmenters.encodings import Features
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_tensors import InputFormat, PromptTensors
from rsagent_ros.segmenters.sam3_config import Sam3Config


class Sam2Network(Protocol):
    """A promptable segmentation network on its device, ready to run. Called within `torch.inference_mode`."""

    @property
    def name(self) -> str:
        """Architecture and checkpoint, for the record."""
        ...

    @property
    def input_format(self) -> InputFormat:
        """Format of its inputs."""
        ...

    @property
    def device(self) -> torch.device:
        """The device it runs on."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of `embed`."""
        ...

    def embed(self, pixels: torch.Tensor) -> Features:
        """(1, 3, image_size, image_size) float32 pixels to feature maps, fine to coarse. The caller sets autocast."""
        ...

    def decode(self, features: Features, prompts: PromptTensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps, as `embed` made them, and P prompts to (P, K, h, w) logits and (P, K) estimates of their IoU.

        In float32 whatever the type of the maps. K is 3 where `prompts.multimask_output` is set, else 1.
        """
        ...


def place(network: nn.Module, encoder: nn.Module, config: Sam2Config | Sam3Config) -> tuple[torch.device, torch.dtype]:
    """Move a network to its device, and prepare its image encoder for its floating-point type.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: there is no such device. OUT_OF_MEMORY: it is full.
    """
    device = pick_device(config.device)
    dtype = pick_dtype(config.dtype, device)
    try:
        network.eval().requires_grad_(False).to(device)
    except (RuntimeError, MemoryError) as error:
        if not is_full(error):
            raise
        raise RunFailed(
            ErrorCode.OUT_OF_MEMORY,
            f"the segmenter's weights do not fit into the memory of {device}; "
            "give less of it to the model server, or use a smaller checkpoint",
        ) from error
    if dtype is not torch.float32:
        # What autocast would cast in every call is cast once. All else stays float32, as the networks were evaluated.
        for part in encoder.modules():
            if isinstance(part, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                part.to(dtype)
    if config.compile:
        encoder.compile()
    return device, dtype
