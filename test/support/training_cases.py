"""Small scenes, scripted trajectories about them, and recipes for training tiny checkpoints on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakePolicy, FakeSegmenter
from local_cases import tiny_checkpoint, tiny_folder

from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import save_examples
from rsagent_ros.policies.family import QWEN2_5_VL, Family
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.yaml_file import from_plain
from rsagent_training.recipes import GrpoRecipe, SftRecipe
from rsagent_training.trajectories import Trajectory, write_trajectories

SIDE = 112
OPTIMISATION: dict[str, Any] = {
    "learning_rate": 1e-3, "precision": "float32", "checkpointing": False, "device_batch": 2, "cpu": True,
    "save_every": 100, "schedule": "constant", "warmup_share": 0.0,
}  # fmt: skip
LORA = {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]}

WRONG = (
    '<think>Perhaps there.</think><tool_call>{"name": "segment", "arguments": {"box": [60, 50, 100, 80]}}</tool_call>'
)
RIGHT = (
    f'<think>No: there.</think>{CALL_OPEN}{{"name": "segment", "arguments": {{"box": [10, 10, 40, 50]}}}}{CALL_CLOSE}'
)
ZOOM = f'<think>Closer.</think>{CALL_OPEN}{{"name": "zoom", "arguments": {{"box": [0, 0, 84, 84]}}}}{CALL_CLOSE}'
UNREADABLE = "<think>I do not know.</think>"


def finish(mask: int) -> str:
    """The reply that ends with a mask."""
    return f'<think>That is it.</think>{CALL_OPEN}{{"name": "finish", "arguments": {{"mask": {mask}}}}}{CALL_CLOSE}'


def scene(number: int, expected: Outcome = Outcome.FOUND) -> Example:
    """A red thing on noise, at the place that RIGHT names in pixels of the picture."""
    image = np.random.default_rng(number).integers(0, 120, (84, 112, 3), dtype=np.uint8)
    mask = np.zeros((84, 112), dtype=np.bool_)
    mask[10:50, 10:40] = True
    image[mask] = (220, 30, 30)
    masks = (mask,) if expected is Outcome.FOUND else ()
    words = f"the red thing {number}"
    return Example(f"scene-{number:03d}", image, words, expected, masks, source="test", tags=("attribute",))


def episode(about: Example, pictures: PictureFormat, **budget: Any) -> Episode:
    """An episode about a scene, with a segmenter that fills boxes."""
    return Episode(about.image, about.instruction, FakeSegmenter(), Budget(seconds=1e6, **budget), pictures=pictures)


def trajectory(
    about: Example,
    replies: Sequence[str],
    learn: Sequence[bool] | None = None,
    family: Family = QWEN2_5_VL,
    iou: float = 1.0,
) -> Trajectory:
    """What a policy did that said these replies."""
    policy = FakePolicy(replies)
    running = episode(about, tiny_checkpoint(family).family.pictures(SIDE))
    drive(running, policy)
    count = len(running.trace.turns)
    return Trajectory(f"{about.id}-t", about.id, running.trace, tuple(learn or [True] * count), iou, "test")


def write_some(folder: Path, count: int = 6, family: Family = QWEN2_5_VL, iou: float = 1.0) -> Path:
    """A folder of trajectories: some right at once, some corrected."""
    pairs = []
    for number in range(count):
        about = scene(number)
        if number % 2:
            pairs.append((about, trajectory(about, [WRONG, RIGHT, finish(2)], [False, True, True], family, iou)))
        else:
            pairs.append((about, trajectory(about, [RIGHT, finish(1)], None, family, iou)))
    write_trajectories(folder, pairs)
    return folder


def write_scenes(folder: Path, count: int = 4) -> Path:
    """A folder of scenes."""
    save_examples((scene(number) for number in range(count)), folder)
    return folder


def sft_recipe(trajectories: Path, family: Family = QWEN2_5_VL, **changes: Any) -> SftRecipe:
    """Few steps on a tiny checkpoint."""
    data = {
        "checkpoint": str(tiny_folder(family)), "trajectories": [str(trajectories)], "batch": 2, "epochs": 1,
        "lora": LORA,
        "optimisation": OPTIMISATION | changes.pop("optimisation", {}), **changes,
    }  # fmt: skip
    return from_plain(data, SftRecipe)


def grpo_recipe(scenes: Path, family: Family = QWEN2_5_VL, **changes: Any) -> GrpoRecipe:
    """Few steps on a tiny checkpoint, short episodes."""
    data = {
        "checkpoint": str(tiny_folder(family)), "mix": [{"scenes": str(scenes)}], "batch": 2, "samples": 2, "steps": 2,
        "max_turns": 2, "max_reply_tokens": 12, "side": SIDE, "segmenter": "classical", "lora": LORA, "beta": 0.0,
        "optimisation": OPTIMISATION | changes.pop("optimisation", {}), **changes,
    }  # fmt: skip
    return from_plain(data, GrpoRecipe)


def checkpoint_of(family: Family = QWEN2_5_VL) -> Checkpoint:
    """The tiny checkpoint, for reading."""
    return tiny_checkpoint(family)
