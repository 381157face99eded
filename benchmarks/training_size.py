"""Size of training data: disk, and the time until supervised training begins, for 10,000 scenes at 1080p.

`SCENES` are made, taught and selected; what they cost is extrapolated by the line through half of them and all.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from entry import Entry, at_most, missing, not_here

if TYPE_CHECKING:
    from rsagent_ros.agent.turn import Trace
    from rsagent_ros.data.example import Example

SCENES = 500
WANTED = 10_000
MOST_SECONDS, MOST_GIGABYTES = 60.0, 40.0
HEIGHT, WIDTH = 1080, 1920
INSTRUCTION = "the box"
TURNS = 4


def run(count: int = SCENES) -> list[Entry]:
    """Measure; about five minutes. Seconds are those of the processor."""
    if lacking := missing("torch", "trl"):
        return [not_here("training data at size", f"{lacking}; pip install -e '.[training]'")]
    from rsagent_ros.policies.family import QWEN2_5_VL
    from rsagent_ros.weights.tiny import save_tiny

    seconds, gigabytes = [], []
    with tempfile.TemporaryDirectory() as temporary:
        save_tiny(QWEN2_5_VL, Path(temporary) / "checkpoint")
        for number in (count // 2, count):
            folder = Path(temporary) / str(number)
            _make(folder, number)
            gigabytes.append(_bytes(folder) / 1e9)
            seconds.append(_seconds_to_select(folder, Path(temporary) / "checkpoint"))
    time_slope = (seconds[1] - seconds[0]) / (count - count // 2)
    size_slope = (gigabytes[1] - gigabytes[0]) / (count - count // 2)
    ahead = WANTED - count
    return [
        at_most(
            "SFT begins, 10,000 scenes at 1080p", seconds[1] + ahead * time_slope, "s", MOST_SECONDS,
            f"{seconds[1]:.2f} s for {count}, {1000 * time_slope:.2f} ms a scene",
        ),
        at_most(
            "scenes and trajectories on disk, 10,000 at 1080p", gigabytes[1] + ahead * size_slope, "GB",
            MOST_GIGABYTES, f"{gigabytes[1]:.2f} GB for {count}, {1000 * size_slope:.2f} MB a scene",
        ),
    ]  # fmt: skip


def _scenes(count: int) -> Iterator[Example]:
    """Pictures that PNG shrinks about as it does those of a camera: slopes, and noise of three grey values."""
    from rsagent_ros.agent.outcome import Outcome
    from rsagent_ros.data.example import Example

    slope = np.linspace(40, 200, WIDTH)[None, :, None] + np.linspace(-20, 20, HEIGHT)[:, None, None]
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    mask[400:700, 800:1200] = True
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 3, (HEIGHT, WIDTH, 3))
        image = np.clip(slope + noise, 0, 255).astype(np.uint8)
        yield Example(f"scene-{number:05d}", image, INSTRUCTION, Outcome.FOUND, (mask,), source="made up")


def _make(folder: Path, count: int) -> None:
    from rsagent_ros.data.folder import load_examples, save_examples
    from rsagent_training.trajectories import Trajectory, write_trajectories

    save_examples(_scenes(count), folder / "scenes")
    trace = _trace(next(_scenes(1)))
    learn = (True,) * len(trace.turns)
    write_trajectories(
        folder / "trajectories",
        (
            (scene, Trajectory(f"{scene.id}-0", scene.id, replace(trace, goal_id=scene.id), learn, 1.0, "made up"))
            for scene in load_examples(folder / "scenes")
        ),
    )


def _trace(scene: Example) -> Trace:
    """An episode in which one box is drawn again and again."""
    from rsagent_ros.agent.actions import Finish, Segment, render
    from rsagent_ros.agent.budget import Budget
    from rsagent_ros.agent.episode import Episode
    from rsagent_ros.agent.geometry import Box
    from rsagent_ros.agent.policy import Reply
    from rsagent_ros.baseline.segmenter import ClassicalSegmenter
    from rsagent_ros.policies.family import QWEN2_5_VL

    pictures = QWEN2_5_VL.pictures()
    across, down = pictures.extent(WIDTH, HEIGHT)
    episode = Episode(scene.image, scene.instruction, ClassicalSegmenter(), Budget(seconds=1e9), pictures=pictures)
    box = Segment(box=Box(410, 360, 630, 660))
    for _ in range(TURNS - 1):
        episode.step(Reply(f"<think>There it is.</think>{render(box, (across, down))}"))
    episode.step(Reply(f"<think>That is it.</think>{render(Finish((1,)))}"))
    return episode.trace


def _seconds_to_select(folder: Path, checkpoint: Path) -> float:
    from rsagent_training import sft
    from rsagent_training.recipe_parts import Optimisation
    from rsagent_training.recipes import SftRecipe
    from rsagent_training.trainer.policy_model import load_policy_model

    recipe = SftRecipe(
        str(checkpoint), (str(folder / "trajectories"),), Optimisation(1e-4, precision="float32", cpu=True), min_iou=0.0
    )
    loaded = load_policy_model(recipe)
    started = time.process_time()  # it waits for nothing but the disk's cache
    sft.select(recipe, loaded)
    return time.process_time() - started


def _bytes(folder: Path) -> int:
    """Bytes on disk; what two folders share counts once."""
    files = {(state.st_dev, state.st_ino): state.st_size for state in (path.stat() for path in folder.rglob("*"))}
    return sum(files.values())
