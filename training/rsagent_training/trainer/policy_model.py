"""The model that learns: a checkpoint made ready for the trainers, and what they have in common."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Trainer

from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.backends import Choice, open_models
from rsagent_ros.policies.local.checkpoint import Checkpoint, load_checkpoint
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.trained_format import FIRST_FORMAT, TrainedFormat, read_format, write_format
from rsagent_training.recipe_parts import Lora, Optimisation
from rsagent_training.recipes import GrpoRecipe, SftRecipe
from rsagent_training.trainer.loading import checked_attention, four_bit, training_device
from rsagent_training.trainer.trackers import report_to

BESIDE_WEIGHTS = (
    "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
    "chat_template.jinja", "vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json",
    "generation_config.json", "video_preprocessor_config.json",
)  # fmt: skip
"""Files of a checkpoint that training does not change."""


def load_policy_model(recipe: SftRecipe | GrpoRecipe) -> Checkpoint:
    """The recipe's checkpoint, ready to be given to a trainer: on the CPU, or in 4 bits on this process' GPU.

    Raises:
        RunFailed: A file is missing or damaged, or memory is full.
        ValueError: A package that the recipe needs is not installed.
    """
    whole = recipe.lora is None
    dtype = "float32" if whole else recipe.optimisation.precision
    # Its full path is what an adapter remembers as its base, so that it is found from anywhere.
    folder = str(Path(recipe.checkpoint).expanduser().resolve())
    attention = checked_attention(recipe.optimisation.attention)
    if recipe.lora is not None and recipe.lora.four_bit:
        quantization, device = four_bit(recipe.optimisation), training_device(recipe.optimisation)
    else:
        quantization, device = None, "cpu"
    config = LocalConfig(folder, device=device, dtype=dtype)
    checkpoint = load_checkpoint(config, attention=attention, quantization=quantization)
    model: Any = checkpoint.model
    if whole and recipe.freeze_vision:
        model.model.visual.requires_grad_(False)
    return replace(checkpoint, model=model.train())


def load_segmenter(recipe: GrpoRecipe) -> Segmenter[Any]:
    """The recipe's segmenter, on the device of this process; blocks while it is loaded.

    Raises:
        RunFailed: It can't be loaded.
    """
    return open_models(Choice(segmenter=recipe.segmenter, settings=segmenter_settings(recipe))).segmenter


def segmenter_settings(recipe: GrpoRecipe) -> dict[str, Any]:
    """The recipe's settings of the segmenter, on the device of this process where they name none."""
    rank = os.environ.get("LOCAL_RANK")
    if recipe.segmenter == "classical" or rank is None or recipe.optimisation.cpu or not torch.cuda.is_available():
        return recipe.segmenter_settings
    return {f"{recipe.segmenter}.device": f"cuda:{rank}", **recipe.segmenter_settings}


def load_tokenizer(checkpoint: str) -> PreTrainedTokenizerBase:
    """The tokenizer for the trainers' own books; episodes become tokens in `trainer.token_sequence`."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        Path(checkpoint).expanduser().resolve(), local_files_only=True, padding_side="left"
    )
    return tokenizer


def lora_config(lora: Lora | None) -> LoraConfig | None:
    """The adapter in peft's terms; the vision tower has layers of the same names, which stay as they are."""
    if lora is None:
        return None
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf".*language_model.*\.({'|'.join(lora.targets)})",
        task_type="CAUSAL_LM",
    )


def trainer_arguments(optimisation: Optimisation, out: Path, sequences_a_step: int) -> dict[str, Any]:
    """Arguments of both trainers' configurations.

    Raises:
        ValueError: The sequences of a step can't be shared evenly among devices and passes, or one process sees several
            GPUs.
    """
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    visible = 0 if optimisation.cpu else torch.cuda.device_count()
    if "WORLD_SIZE" not in os.environ and visible > 1:
        raise ValueError(
            f"{visible} GPUs are visible to one process; start one for each with `accelerate launch`, or show it one "
            "with CUDA_VISIBLE_DEVICES=0"
        )
    at_once = optimisation.device_batch * devices
    if sequences_a_step % at_once:
        raise ValueError(
            f"a step has {sequences_a_step} sequences, which {devices} devices with device_batch "
            f"{optimisation.device_batch} can't share evenly; choose a batch that is a multiple of {at_once}"
        )
    half = optimisation.precision == "bfloat16"
    return {
        "output_dir": str(out),
        "per_device_train_batch_size": optimisation.device_batch,
        "gradient_accumulation_steps": sequences_a_step // at_once,
        "learning_rate": optimisation.learning_rate,
        "weight_decay": optimisation.weight_decay,
        "adam_beta2": optimisation.beta2,
        "warmup_steps": optimisation.warmup_share,  # transformers takes a value under 1 as a share of all steps
        "lr_scheduler_type": optimisation.schedule,
        "max_grad_norm": optimisation.max_grad_norm,
        "gradient_checkpointing": optimisation.checkpointing,
        "bf16": half and not optimisation.cpu,
        "use_cpu": optimisation.cpu,
        "save_strategy": "steps",
        "save_steps": optimisation.save_every,
        "save_total_limit": optimisation.keep,
        "logging_strategy": "steps",
        "logging_steps": optimisation.log_every,
        "logging_nan_inf_filter": False,  # it would hide what the guard must see
        "seed": optimisation.seed,
        "data_seed": optimisation.seed,
        "report_to": report_to(optimisation.report_to),
        "run_name": out.name,
        "project": "rsagent",
        "remove_unused_columns": False,
    }


def save_result(trainer: Trainer, recipe: SftRecipe | GrpoRecipe, folder: Path) -> None:
    """Write the weights as they are: an adapter, or a whole checkpoint that loads as the one it began with.

    An earlier one in the same folder is replaced.
    """
    partial = folder.with_name(f"{folder.name}.partial")  # what a kill leaves must not pass for the result
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model(str(partial))  # gathers what the devices share
    elif trainer.is_world_process_zero():
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(partial)
    if trainer.is_world_process_zero():
        if recipe.lora is None:
            copy_beside(Path(recipe.checkpoint).expanduser(), partial)
        write_format(partial, run_format(folder.parent))
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)


def run_format(run: Path) -> TrainedFormat:
    """The overlays and tools that a run trains with; release 0.1.0 knew one kind alone, and did not note it."""
    return read_format(run) or FIRST_FORMAT


def copy_beside(source: Path, folder: Path) -> None:
    """Copy the files beside a checkpoint's weights."""
    for name in BESIDE_WEIGHTS:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
