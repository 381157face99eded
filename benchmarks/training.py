"""Training on a CPU core with tiny networks: batched rollouts against one by one, where a step's time goes, and memory.

The networks are tiny, so only ratios and slopes mean something; tokens per second are those of this machine.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entry import Entry, at_most, missing, not_here, reported

if TYPE_CHECKING:
    from rsagent_ros.data.example import Example
    from rsagent_ros.policies.local.checkpoint import Checkpoint

EPISODES = 32
REPLY_TOKENS = 32
SPEEDUP = 3.0
STEPS = 200
SETTLE = 50
"""Steps before memory is watched: the allocator's own pools fill up first."""
SLOPE_KB = 20.0
"""Kilobytes a step that count as flat: 4 MB over 200 steps."""


def run() -> list[Entry]:
    """Measure; about five minutes."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if lacking := missing("psutil", "torch", "trl"):
        return [not_here("training", f"{lacking}; pip install -e '.[training]'")]
    import psutil
    import torch

    from rsagent_ros.data.folder import save_examples
    from rsagent_training.miniature.network import save_untrained
    from rsagent_training.miniature.world import SearchWorld

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_untrained(folder / "checkpoint", seed=0)
        drawn = list(SearchWorld().scenes(0, EPISODES))
        save_examples(drawn, folder / "scenes")
        entries = [_batched(folder, drawn), *_sft(folder, drawn)]
        memory: list[float] = []
        entries += _grpo(folder, memory, psutil.Process())
        return entries


def _batched(folder: Path, drawn: list[Example]) -> Entry:
    """Seconds of the same episodes one by one over seconds of all together."""
    from rsagent_ros.agent.drive import drive_batch

    checkpoint = _checkpoint(folder)
    # Every reply has its full length, so that both ways compute the same tokens.
    checkpoint.vocabulary.stop_ids = frozenset()
    seconds = {}
    for at_once in (EPISODES, 1):
        policy, episodes = _episodes(checkpoint, drawn)
        began = time.perf_counter()
        for begin in range(0, EPISODES, at_once):
            drive_batch(episodes[begin : begin + at_once], policy)
        seconds[at_once] = time.perf_counter() - began
    ratio = seconds[1] / seconds[EPISODES]
    note = (
        f"{EPISODES} episodes of 3 turns, {REPLY_TOKENS} tokens a reply: {seconds[1]:.1f} s, {seconds[EPISODES]:.1f} s"
    )
    return Entry(
        "rollouts, one by one over all together", round(ratio, 2), "x", f">= {SPEEDUP:g}", ratio >= SPEEDUP, note
    )


def _episodes(checkpoint: Checkpoint, drawn: list[Example]) -> tuple[Any, list[Any]]:
    from rsagent_ros.agent.budget import Budget
    from rsagent_ros.agent.episode import Episode
    from rsagent_ros.baseline.segmenter import ClassicalSegmenter
    from rsagent_ros.policies.local.config import LocalConfig
    from rsagent_ros.policies.local.policy import LocalPolicy
    from rsagent_training.miniature.world import SIDE

    policy = LocalPolicy(checkpoint, LocalConfig("checkpoint", side=SIDE, temperature=1.0))
    budget = Budget(seconds=1e9, max_turns=3, max_reply_tokens=REPLY_TOKENS)
    segmenter = ClassicalSegmenter()
    return policy, [
        Episode(scene.image, scene.instruction, segmenter, budget, pictures=policy.pictures) for scene in drawn
    ]


def _checkpoint(folder: Path) -> Checkpoint:
    from rsagent_ros.policies.local.checkpoint import load_checkpoint
    from rsagent_ros.policies.local.config import LocalConfig

    return load_checkpoint(LocalConfig(str(folder / "checkpoint"), device="cpu"))


def _sft(folder: Path, drawn: list[Example]) -> list[Entry]:
    from rsagent_ros.baseline.segmenter import ClassicalSegmenter
    from rsagent_training import sft
    from rsagent_training.miniature.network import PICTURES
    from rsagent_training.miniature.teacher import demonstration
    from rsagent_training.miniature.world import SearchWorld
    from rsagent_training.recipes import SftRecipe
    from rsagent_training.trajectories import write_trajectories

    world, segmenter = SearchWorld(), ClassicalSegmenter()
    pairs = [(scene, demonstration(scene, world, PICTURES, segmenter, 0)) for scene in drawn]
    write_trajectories(folder / "trajectories", pairs)
    recipe = SftRecipe(
        str(folder / "checkpoint"), (str(folder / "trajectories"),), _optimisation(8), epochs=3, batch=8, lora=None
    )
    sft.train(recipe, folder / "sft")
    curve = json.loads((folder / "sft" / "curve.json").read_bytes())
    tokens = [row["num_tokens"] for row in curve if "loss" in row][-1]
    return [
        reported(
            "SFT, tokens read in a second", tokens / curve[-1]["train_runtime"], "tokens/s",
            f"{tokens:.0f} tokens, a network of 0.7 million weights, one thread",
        )
    ]  # fmt: skip


def _grpo(folder: Path, memory: list[float], process: Any) -> list[Entry]:
    import numpy as np

    from rsagent_ros.baseline.segmenter import ClassicalSegmenter
    from rsagent_training import grpo
    from rsagent_training.miniature.world import SIDE
    from rsagent_training.recipe_parts import MixPart
    from rsagent_training.recipes import GrpoRecipe
    from rsagent_training.rollouts.local import LocalRollouts
    from rsagent_training.trainer.policy_model import load_policy_model

    recipe = GrpoRecipe(
        str(folder / "checkpoint"), (MixPart(str(folder / "scenes")),), _optimisation(8), steps=STEPS, batch=2,
        samples=4, max_turns=3, max_reply_tokens=16, side=SIDE, segmenter="classical", beta=0.0, lora=None,
        freeze_vision=False,
    )  # fmt: skip

    class Watched(LocalRollouts):
        def run(self, *given: Any) -> Any:
            memory.append(process.memory_info().rss / 1024)
            return super().run(*given)

    rollouts = Watched(load_policy_model(recipe), recipe, ClassicalSegmenter())
    grpo.train(recipe, folder / "grpo", rollouts=rollouts)
    curve = json.loads((folder / "grpo" / "curve.json").read_bytes())
    steps = [row for row in curve if "loss" in row][5:]
    total = sum(row["step_time"] for row in steps)
    shares = {part: sum(row[f"time/{part}"] for row in steps) / total for part in ("rollout", "scoring", "tools")}
    tokens = sum(row["episodes/tokens"] for row in steps) * recipe.batch * recipe.samples
    slope = float(np.polyfit(range(STEPS - SETTLE), memory[SETTLE:], 1)[0])
    return [
        reported(
            "GRPO, tokens of episodes in a second", tokens / total, "tokens/s",
            f"rollout {shares['rollout']:.0%} (of that tools {shares['tools'] / shares['rollout']:.0%}), "
            f"rewards and layout {shares['scoring']:.0%}, "
            f"training {1 - shares['rollout'] - shares['scoring']:.0%}",
        ),
        at_most(
            f"GRPO, growth of memory over {STEPS} steps", slope, "kB a step", SLOPE_KB,
            f"resident set, line through steps {SETTLE} to {STEPS}: {memory[SETTLE] / 1024:.0f} MB to "
            f"{memory[-1] / 1024:.0f} MB",
        ),
    ]  # fmt: skip


def _optimisation(device_batch: int) -> Any:
    from rsagent_training.recipe_parts import Optimisation

    return Optimisation(
        learning_rate=1e-4, precision="float32", checkpointing=False, device_batch=device_batch, save_every=10_000,
        log_every=1, cpu=True,
    )  # fmt: skip


if __name__ == "__main__":
    for entry in run():
        print(entry)
