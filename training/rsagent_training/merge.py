"""An adapter and its checkpoint as one checkpoint, which vLLM and the robot's own policy load like any other.

    rsagent merge runs/sft --to checkpoints/rsagent-sft

The result holds the files of the checkpoint it began with (tokenizer, sizes of pictures), our chat template, merged
weights and a model card: what it learned from, with which recipe, and how well it did.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from transformers import PreTrainedModel

from rsagent_ros import __version__
from rsagent_ros.policies.family import CHAT_TEMPLATE
from rsagent_ros.policies.local.checkpoint import load_checkpoint
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.trained_format import write_format
from rsagent_training.recipe_parts import Precision
from rsagent_training.recipes import GrpoRecipe, SftRecipe
from rsagent_training.trainer.policy_model import copy_beside, run_format
from rsagent_training.trainer.run_folder import BEST, CURVE, DATA, FINAL, newest_whole, read_recipe

SHARD = "4GB"


def merge(
    run: Path,
    to: Path,
    *,
    precision: Precision | None = None,
    metrics: Path | None = None,
    unfinished: bool = False,
    best: bool = False,
) -> Path:
    """Write the checkpoint of a run; blocks, and holds the weights in memory once.

    Args:
        run: Folder of a run of sft or grpo.
        to: New or empty folder.
        precision: Of the weights; by default what the checkpoint it began with has.
        metrics: A JSON file of an evaluation (`report.json`) or any object of figures, for the model card.
        unfinished: Take the newest checkpoint of a run that has not ended.
        best: Take what was best on held-out scenes, ended or not.

    Returns:
        The folder.

    Raises:
        FileExistsError: The folder has something in it.
        FileNotFoundError: The run has no result, or no best one.
        ValueError: A damaged recipe or metrics.
        RunFailed: The checkpoint or the adapter can't be loaded.
    """
    if to.exists() and any(to.iterdir()):
        raise FileExistsError(f"{to} is not empty; name a new folder")
    recipe = read_recipe(run)
    result = newest_whole(run) if unfinished else run / (BEST if best else FINAL)
    if best and not (run / BEST).is_dir():
        raise FileNotFoundError(f"{run} has no {BEST}/; its recipe had no held_out, or no evaluation was due yet")
    if result is None or not result.is_dir():
        raise FileNotFoundError(f"{run} has no result yet; let it end, or take its newest step with --unfinished")
    card = _card(run, recipe, metrics)
    base = Path(recipe.checkpoint).expanduser()
    dtype = precision or _precision_of(base)
    if recipe.lora is None:
        loaded = LocalConfig(str(result), device="cpu", dtype=dtype)
    else:
        loaded = LocalConfig(str(base), lora=str(result), device="cpu", dtype=dtype)
    if unfinished and recipe.lora is None:
        copy_beside(base, result)  # a trainer's checkpoint has weights alone
    model: PreTrainedModel = load_checkpoint(loaded).model
    partial = to.with_name(f"{to.name}.partial")  # what a kill leaves must not pass for a checkpoint
    partial.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(partial, max_shard_size=SHARD)
    copy_beside(base, partial)
    write_format(partial, run_format(run))
    (partial / CHAT_TEMPLATE.name).write_text(CHAT_TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    (partial / "README.md").write_text(card, encoding="utf-8")
    return partial.rename(to)


def _precision_of(base: Path) -> Precision:
    config = json.loads((base / "config.json").read_bytes())
    stored = config.get("dtype") or config.get("torch_dtype") or "float32"
    return "bfloat16" if stored == "bfloat16" else "float32"


def _card(run: Path, recipe: SftRecipe | GrpoRecipe, metrics: Path | None) -> str:
    """The model card, in Markdown with the header that the hub reads."""
    curve = json.loads((run / CURVE).read_bytes()) if (run / CURVE).is_file() else []
    logged = [row for row in curve if "loss" in row]
    environment = Environment(
        loader=PackageLoader("rsagent_training"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=False,
    )  # fmt: skip
    # A folder of this machine is of no use to who reads the card.
    shown = replace(recipe, checkpoint=Path(recipe.checkpoint).name)
    return environment.get_template("model_card.md.jinja").render(
        name=run.name,
        stage="supervised fine-tuning" if isinstance(recipe, SftRecipe) else "GRPO",
        base=Path(recipe.checkpoint).name,
        version=__version__,
        torch=torch.__version__,
        data=json.loads((run / DATA).read_bytes()) if (run / DATA).is_file() else {},
        recipe=shown,
        first=logged[0] if logged else {},
        last=logged[-1] if logged else {},
        metrics=_metrics(metrics),
    )


def _metrics(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no JSON file of metrics ({error})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a JSON object of metrics")
    # `rsagent evaluate` writes its figures, with their intervals, under this name.
    return {name: _figure(value) for name, value in found.get("metrics", found).items()}


def _figure(value: Any) -> Any:
    if not isinstance(value, dict) or not {"value", "low", "high"} <= {*value}:
        return value
    if value["low"] is None or value["high"] is None:
        return value["value"]
    return f"{value['value']:.4g} [{value['low']:.4g}, {value['high']:.4g}]"
