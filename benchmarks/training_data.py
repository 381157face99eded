"""Cost of making training data: an episode of the expert, and the reward of one. Simulated scenes, one CPU core.

Every scene of `SCENES` worlds is taught once by the scripted expert with the classical segmenter; kept is what passes
the filters of `config/training/synthesize.yaml` but the balance.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from entry import Entry, not_here, reported

from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.backends import Choice
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import save_examples
from rsagent_training.rewards import episode_reward
from rsagent_training.synthesis.attempt import Attempt, AttemptSpec, TeacherConfig, from_line
from rsagent_training.synthesis.config import SynthesisConfig
from rsagent_training.synthesis.selection import Summary, select, summary

SCENES = 60
SEED = 20_000
CONFIG = SynthesisConfig(balanced=False, budget_seconds=600.0)


def run() -> list[Entry]:
    """The entries."""
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    try:
        from rsagent_training.simulate import scenes
    except ImportError as error:
        return [not_here("training data", f"the simulator needs MuJoCo ({error})")]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    made = list(scenes(SEED, SCENES, per_world=2))
    with tempfile.TemporaryDirectory() as name:
        save_examples(made, Path(name))
        attempts, seconds = _taught(made, name)
    by_id = {scene.id: scene for scene in made}
    kept, _ = select([summary(attempt, by_id, CONFIG) for attempt in attempts], CONFIG)
    rewards = []
    for attempt in attempts:
        started = time.perf_counter()
        episode_reward(attempt.trace, by_id[attempt.scene_id])
        rewards.append(time.perf_counter() - started)
    size = "640x480, one core"
    return [
        reported("expert: one episode", statistics.median(seconds), "s", f"{size}; drawing the masks included"),
        reported("expert: episodes that are kept", 100 * len(kept) / len(attempts), "%", f"of {len(attempts)}"),
        reported("expert: turns of an episode", statistics.mean(one.turns for one in kept), "", "mean of those kept"),
        reported("expert: kept with a mistake put right", 100 * _corrected(kept) / len(kept), "%"),
        reported("reward of one episode", 1000 * statistics.median(rewards), "ms", size),
    ]


def _taught(made: list[Example], folder: str) -> tuple[list[Attempt], list[float]]:
    teach = TeacherConfig("expert", Choice(), DEFAULT_PICTURES, 0, CONFIG).open()
    attempts, seconds = [], []
    for scene in made:
        started = time.perf_counter()
        line = teach(AttemptSpec(folder, scene.id, 0))
        seconds.append(time.perf_counter() - started)
        attempts.append(from_line(line))
    return attempts, seconds


def _corrected(kept: list[Summary]) -> int:
    return sum(one.corrected for one in kept)
