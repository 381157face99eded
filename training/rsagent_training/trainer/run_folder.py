"""A training run on disk: one folder that can be killed at any moment and resumed.

    recipe.yaml         what it was started with, every value
    data.json           what it learns from, with counts
    curve.json          what was logged, by step
    checkpoint-N/       weights, optimizer and random state after step N
    held_out.json       how good it was on scenes that were held out, by step
    best/               the weights that were best on them
    rollouts/           pages of episodes
    final/              the result

Needs no torch.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.yaml_file import from_plain, read_yaml, write_yaml
from rsagent_training.recipes import GrpoRecipe, SftRecipe

RECIPE = "recipe.yaml"
DATA = "data.json"
CURVE = "curve.json"
FINAL = "final"
BEST = "best"

MAY_CHANGE = tuple(
    f"optimisation.{name}" for name in ("save_every", "log_every", "keep", "workers", "checkpointing", "report_to")
)
"""Names in a recipe whose values a run may be resumed with others of."""

MAY_CHANGE_IN_GRPO = (
    *MAY_CHANGE, "max_tokens", "rollout_batch", "max_dropped_groups", "segmenter_settings", "server.base_url",
    "server.in_flight", "server.timeout",
)  # fmt: skip
"""Names in a recipe of reinforcement learning whose values a run may be resumed with others of."""

_GONE = frozenset({"gave_up_share", "match_iou", "epsilon"})


class TrainingStopped(RuntimeError):
    """Training can't go on; the message is one sentence with what to do."""


def begin(out: Path, recipe: SftRecipe | GrpoRecipe, *, resume: bool) -> Path | None:
    """Make the run's folder, or find where to go on.

    Returns:
        The newest whole checkpoint; None to begin at the first step.

    Raises:
        FileExistsError: There is a run already and `resume` was not asked for, or it has another recipe: only what
            MAY_CHANGE names may differ.
    """
    if int(os.environ.get("RANK", "0")):  # set by `accelerate launch`: the first process makes and checks the folder
        return newest_whole(out) if resume else None
    held = out / RECIPE
    if held.exists():
        if not resume:
            raise FileExistsError(f"{out} holds a run already; resume it with --resume, or choose another folder")
        if _of_another_reward(_names(held)):
            raise FileExistsError(
                f"{held} is of release 0.1.0, whose reward did not charge answers that mislead; begin another run"
            )
        _check_same(held, recipe)
        write_yaml(recipe, held)
        return newest_whole(out)
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty and holds no {RECIPE}; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_yaml(recipe, held)
    return None


def _check_same(held: Path, recipe: SftRecipe | GrpoRecipe) -> None:
    """Refuse another recipe than the run's, but for what does not decide what is learned."""
    before, now = _flat(asdict(read_yaml(held, type(recipe)))), _flat(asdict(recipe))
    different = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    may_change = MAY_CHANGE if isinstance(recipe, SftRecipe) else MAY_CHANGE_IN_GRPO
    refused = [name for name in different if not name.startswith(may_change)]
    if refused:
        raise FileExistsError(
            f"{held} differs from the recipe given in {', '.join(refused)}; resume with the same, or choose "
            f"another folder (only {', '.join(may_change)} may change)"
        )


def _flat(names: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in names.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def read_recipe(run: Path) -> SftRecipe | GrpoRecipe:
    """The recipe that a run was started with.

    Raises:
        FileNotFoundError: The folder is none of a run.
        ValueError: The recipe is damaged, or neither of SFT nor of GRPO; the message names the file.
    """
    path = run / RECIPE
    if not path.is_file():
        raise FileNotFoundError(f"{run} has no {RECIPE}; name the folder of a run of `rsagent sft` or `rsagent grpo`")
    names = _names(path)
    # Each stage has one name that the other does not know: what it learns from.
    if "trajectories" in names:
        return read_yaml(path, SftRecipe)
    if not _of_another_reward(names):
        return read_yaml(path, GrpoRecipe)
    reward = {name: value for name, value in names["reward"].items() if name not in _GONE}
    return from_plain({**names, "reward": reward}, GrpoRecipe)


def _names(path: Path) -> dict[str, Any]:
    try:
        names = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    return names if isinstance(names, dict) else {}


def _of_another_reward(names: dict[str, Any]) -> bool:
    """Whether a recipe is of release 0.1.0, which had constants of the reward that are part of the Score now."""
    reward = names.get("reward")
    return isinstance(reward, dict) and not _GONE.isdisjoint(reward)


def newest_whole(out: Path) -> Path | None:
    """The newest checkpoint that was written to its end; None where there is none.

    The trainer writes `trainer_state.json` last: a checkpoint that a kill cut short has none, or half of one.
    """
    found = []
    for folder in out.glob("checkpoint-*"):
        try:
            json.loads((folder / "trainer_state.json").read_bytes())
        except (OSError, ValueError):
            continue
        found.append(folder)
    return max(found, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def write_json(path: Path, content: Any) -> None:
    """Write a file that is whole or not there."""
    atomic_write(path, f"{json.dumps(content, indent=1)}\n".encode())
