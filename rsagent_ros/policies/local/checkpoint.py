"""A checkpoint's folder, checked file by file before anything heavy is read, then loaded. Never downloads.

Every failure is one sentence: which file, what was expected, what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel
from transformers.utils.quantization_config import QuantizationConfigMixin

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.checkpoint import AGAIN, FETCH, check_weights, read_config, read_json, unusable
from rsagent_ros.devices import is_full, pick_device, pick_dtype
from rsagent_ros.policies.family import PICTURE, Family, family_of
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.local.lora import merge_lora
from rsagent_ros.policies.local.pixels import Patches
from rsagent_ros.policies.local.vocabulary import Vocabulary
from rsagent_ros.policies.trained_format import NEWEST_FORMAT, TrainedFormat, trained_format


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model that is ready to run, and what belongs to it. Training puts its own model in with `replace`.

    Attributes:
        name: For records and messages.
        family: Its coordinates and picture sizes.
        model: In eval mode, on its device.
        vocabulary: Its tokenizer.
        patches: How it wants its pictures.
        logits: Length of its table of tokens.
        context: Most tokens it was made for.
        trained: Overlays and tools that it was trained with.
    """

    name: str
    family: Family
    model: PreTrainedModel
    vocabulary: Vocabulary
    patches: Patches
    logits: int
    context: int
    trained: TrainedFormat = NEWEST_FORMAT


def load_checkpoint(
    config: LocalConfig, *, attention: str = "sdpa", quantization: QuantizationConfigMixin | None = None
) -> Checkpoint:
    """Check and load; blocks for as long as reading the weights takes.

    Args:
        config: What, and where to.
        attention: Implementation, as transformers names them.
        quantization: How weights are held, for training; None as they are.

    Raises:
        RunFailed: MODEL_UNAVAILABLE for a file that is missing, damaged or does not fit the others, or a device that
            is not there; OUT_OF_MEMORY.
    """
    folder = Path(config.checkpoint).expanduser()
    if not folder.is_dir():
        raise unusable(f"there is no folder {folder}", f"nothing is downloaded at the start: {FETCH}")
    device = pick_device(config.device)
    family, settings = _settings(folder)
    tokens = folder / "tokenizer.json"
    if not tokens.is_file():
        raise unusable(f"{tokens} is missing", AGAIN)
    try:
        vocabulary = Vocabulary(tokens)
    except ValueError as error:
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, str(error)) from error
    logits = settings.get_text_config().vocab_size
    if settings.image_token_id != vocabulary.picture or vocabulary.size > logits:
        raise unusable(
            f"{tokens} does not belong to this model: config.json has {logits} tokens with {PICTURE} as "
            f"{settings.image_token_id}, the tokenizer {vocabulary.size} with {vocabulary.picture}",
            AGAIN,
        )
    patches = _patches(folder, settings)
    check_weights(folder)
    try:
        placed = {} if quantization is None else {"quantization_config": quantization, "device_map": {"": device}}
        model = _model(folder, settings, pick_dtype(config.dtype, device), attention, placed)
        if not placed:
            torch.nn.Module.to(model, device)
    except (RuntimeError, MemoryError) as error:
        if not is_full(error):
            raise
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**30
        raise RunFailed(
            ErrorCode.OUT_OF_MEMORY,
            f"the weights in {folder} ({size:.1f} GiB) do not fit into the free memory of {device}; end what else runs "
            "there, or use a smaller checkpoint",
        ) from error
    name = folder.resolve().name
    adapter = Path(config.lora).expanduser() if config.lora else None
    if adapter is not None:
        model = merge_lora(model, folder, adapter)
        name += f"+{adapter.resolve().name}"
    return Checkpoint(
        name,
        # Checkpoints trained from nothing may use smaller patches than the family's own.
        replace(family, multiple=patches.patch * patches.merge),
        model,
        vocabulary,
        patches,
        logits,
        settings.get_text_config().max_position_embeddings,
        trained_format(folder, adapter),
    )


def _settings(folder: Path) -> tuple[Family, PreTrainedConfig]:
    try:
        family = family_of(read_config(folder)["model_type"])
        return family, AutoConfig.from_pretrained(folder, local_files_only=True)
    except RunFailed:
        raise
    except Exception as error:  # transformers raises various errors for a config of the right type with wrong values
        message = str(error) if isinstance(error, ValueError) else describe(error)
        raise unusable(f"{folder}/config.json: {message}", "use a checkpoint of one of these families") from error


def _patches(folder: Path, settings: PreTrainedConfig) -> Patches:
    """The preparation of pictures, from either of the files that hold it, held against the model's own settings."""
    name = "preprocessor_config.json"
    if (folder / name).is_file():
        found = read_json(folder / name)
    elif (folder / "processor_config.json").is_file():
        name = "processor_config.json"
        part = read_json(folder / name).get("image_processor")
        found = part if isinstance(part, dict) else {}
    else:
        raise unusable(f"{folder} has neither {name} nor processor_config.json", AGAIN)
    vision = settings.vision_config
    wanted = {
        "patch_size": vision.patch_size,
        "merge_size": vision.spatial_merge_size,
        "temporal_patch_size": vision.temporal_patch_size,
    }
    given = {key: found.get(key) for key in wanted}
    mean, std = found.get("image_mean", []), found.get("image_std", [])
    if given != wanted or not (_three_numbers(mean) and _three_numbers(std)):
        raise unusable(
            f"{folder}/{name} does not belong to this model: config.json wants {wanted}, and image_mean and image_std "
            f"of three numbers are needed; this file has {given}",
            AGAIN,
        )
    return Patches(vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size, tuple(mean), tuple(std))


def _three_numbers(values: object) -> bool:
    return isinstance(values, list) and len(values) == 3 and all(isinstance(value, int | float) for value in values)


def _model(
    folder: Path, settings: PreTrainedConfig, dtype: torch.dtype, attention: str, placed: dict[str, Any]
) -> PreTrainedModel:
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            folder,
            config=settings,
            dtype=dtype,
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
            # What is missing or of another shape gets random numbers; the report tells which tensors those are.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **placed,
        )
    except Exception as error:  # transformers raises whatever it meets
        if is_full(error):
            raise
        raise unusable(f"the weights in {folder} can't be loaded: {describe(error)}", AGAIN) from error
    model: PreTrainedModel
    model, report = loaded
    absent = sorted(report["missing_keys"])
    if absent:
        raise unusable(
            f"the weights in {folder} lack {len(absent)} tensors of the model that its config.json describes, such as "
            f"{absent[0]}",
            AGAIN,
        )
    if report["mismatched_keys"]:
        tensor, stored, wanted = min(report["mismatched_keys"])
        raise unusable(
            f"the weights in {folder} do not fit its config.json: {tensor} has the shape {tuple(stored)}, not "
            f"{tuple(wanted)}",
            AGAIN,
        )
    return model.eval()
