"""A LoRA adapter, checked against its base and merged into the weights: afterwards it costs nothing."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode

SETTINGS = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def merge_lora(model: PreTrainedModel, base: Path, folder: Path) -> PreTrainedModel:
    """The model with the adapter merged in.

    Args:
        model: As loaded from `base`; changed.
        base: Folder of the checkpoint.
        folder: Folder of the adapter, as peft saves it.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: peft is not installed, a file is missing or damaged, or it is another base's.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise _unavailable(
            f"a LoRA adapter needs peft ({error}); in the checkout: pip install -e '.[models]'"
        ) from error
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            raise _unavailable(f"{folder} has no {name}; name the folder of a LoRA adapter in peft's format")
    try:
        settings = json.loads((folder / SETTINGS).read_bytes())
        kind, trained_on = settings.get("peft_type"), str(settings.get("base_model_name_or_path") or "")
        with safe_open(folder / WEIGHTS, "pt") as weights:
            tensors = sum("lora_" in name for name in weights.keys())  # noqa: SIM118  not a dict
    except (ValueError, AttributeError, SafetensorError) as error:
        raise _unavailable(f"the adapter in {folder} is damaged ({error}); copy it again") from error
    if kind != "LORA":
        raise _unavailable(f"{folder}/{SETTINGS} is of the type {kind!r}, not LORA; only LoRA adapters are loaded")
    if not _same_base(trained_on, base):
        raise _unavailable(
            f"the adapter in {folder} was trained on {trained_on!r}, not on {base}; use that checkpoint, or, if it is "
            f"the same one, put its folder into {SETTINGS} as base_model_name_or_path"
        )
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), torch_device=str(model.device), local_files_only=True)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise _unavailable(
            f"the adapter in {folder} does not fit {base} ({describe(error)}); use the checkpoint it was trained on"
        ) from error
    placed = sum("lora_" in name for name, _ in adapted.named_parameters())
    if placed != tensors:
        raise _unavailable(
            f"the adapter in {folder} has {tensors} tensors, of which {base} takes {placed}; use the checkpoint it was "
            "trained on"
        )
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged


def _same_base(trained_on: str, base: Path) -> bool:
    """Whether a base's name or path means this folder; hub caches keep the name in a folder above the files."""
    if not trained_on or Path(trained_on).expanduser().resolve() == base.resolve():
        return True
    name = Path(trained_on).name.lower()
    return any(part.lower() == name or part.lower().endswith(f"--{name}") for part in base.resolve().parts)


def _unavailable(sentence: str) -> RunFailed:
    return RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence)
