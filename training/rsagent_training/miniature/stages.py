"""The miniature from nothing to figures: simulate, synthesize, sft, grpo, merge, evaluate; what is done stays done.

out/scenes/          scenes of every part, those for evaluation too
out/trajectories/    what the teacher did on them
out/runs/            the training runs
out/checkpoints/     untrained, sft, grpo and the control, each as the robot loads it
out/results.json     how well each does on scenes that none has seen
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from rsagent_ros.agent.scene import Scene, load_scenes, save_scenes
from rsagent_ros.segmenters.classical import ClassicalSegmenter
from rsagent_training import grpo, sft
from rsagent_training.merge import merge
from rsagent_training.miniature.evaluation import Score, evaluate, gain, summary
from rsagent_training.miniature.network import PICTURES, save_untrained
from rsagent_training.miniature.recipe import MiniatureRecipe, Plan
from rsagent_training.miniature.teacher import lesson
from rsagent_training.miniature.world import SIDE, Lesson, scenes
from rsagent_training.recipes import GrpoRecipe, Optimisation, Part, SftRecipe, load_recipe, save_recipe
from rsagent_training.runs import FINAL, RECIPE, write_json
from rsagent_training.trajectories import ROWS, Trajectory, write_trajectories

HELD_OUT, PRACTICE = 900_000, 800_000
"""Seeds of scenes, far from those of the lessons (1, 2, ...), each plus the recipe's seed times a million."""

RESULTS = "results.json"


def run(recipe: MiniatureRecipe, out: Path) -> dict[str, Any]:
    """Everything; blocks, with progress on stderr. What is done already is taken as it is.

    Returns:
        What `results.json` holds.

    Raises:
        FileExistsError: The folder is another recipe's.
        ValueError, RunFailed, TrainingStopped: As the stages have them.
    """
    _own(out, recipe)
    clock: dict[str, float] = {}
    checkpoints = out / "checkpoints"
    _stage(clock, "untrained", checkpoints / "untrained", lambda to: save_untrained(to, recipe.seed))
    learned = checkpoints / "untrained"
    for number, plan in enumerate(recipe.lessons, 1):
        trajectories = _taught(clock, recipe, plan, number, out)
        run_folder = out / "runs" / f"sft-{number}"
        settings = _sft(recipe, plan, learned, trajectories, plan.epochs)
        _stage(clock, run_folder.name, run_folder / FINAL, lambda _, s=settings, f=run_folder: _train_sft(s, f))
        learned = run_folder / FINAL
    last_run, last_trajectories = learned.parent, trajectories
    _stage(clock, "merge sft", checkpoints / "sft", lambda to: merge(last_run, to))
    practised = _practised(clock, recipe, out)
    _stage(clock, "merge grpo", checkpoints / "grpo", lambda to: merge(practised, to))
    names = ["untrained", "sft", "grpo"]
    if recipe.control_epochs:
        control = out / "runs" / "control"
        more = _sft(recipe, recipe.lessons[-1], checkpoints / "sft", last_trajectories, recipe.control_epochs)
        _stage(clock, "control", control / FINAL, lambda _: _train_sft(more, control))
        _stage(clock, "merge control", checkpoints / "control", lambda to: merge(control, to))
        names.append("control")
    return _results(clock, recipe, out, names)


def _own(out: Path, recipe: MiniatureRecipe) -> None:
    held = out / RECIPE
    if held.exists() and load_recipe(held, MiniatureRecipe) != recipe:
        raise FileExistsError(f"{held} is another recipe; choose another folder")
    if not held.exists():
        out.mkdir(parents=True, exist_ok=True)
        save_recipe(recipe, held)


def _stage(clock: dict[str, float], name: str, result: Path, work: Any) -> None:
    if result.exists():
        return
    sys.stderr.write(f"== {name}\n")
    started = time.monotonic()
    work(result)
    clock[name] = round(time.monotonic() - started, 1)


def _simulated(clock: dict[str, float], out: Path, name: str, seed: int, count: int, kind: Lesson) -> Path:
    folder = out / "scenes" / name
    _stage(clock, f"simulate {name}", folder, lambda to: save_scenes(scenes(seed, count, kind), to))
    return folder


def _taught(clock: dict[str, float], recipe: MiniatureRecipe, plan: Plan, number: int, out: Path) -> Path:
    """Scenes of a lesson and what the teacher did on them."""
    name = f"lesson-{number}"
    simulated = _simulated(clock, out, name, recipe.seed * 1_000_000 + number, plan.scenes, plan.lesson)
    folder = out / "trajectories" / name

    def pairs() -> Iterator[tuple[Scene, Trajectory]]:
        segmenter = ClassicalSegmenter()
        for scene in tqdm(load_scenes(simulated), total=plan.scenes, desc=f"synthesize {name}"):
            yield scene, lesson(scene, PICTURES, segmenter, recipe.seed)

    _stage(clock, f"synthesize {name}", folder / ROWS, lambda _: write_trajectories(folder, pairs()))
    return folder


def _optimisation(recipe: MiniatureRecipe, rate: float, device_batch: int, save_every: int) -> Optimisation:
    return Optimisation(
        learning_rate=rate, weight_decay=0.01, schedule="linear", precision="float32", checkpointing=False,
        device_batch=device_batch, save_every=save_every, log_every=5, keep=1, seed=recipe.seed, cpu=True,
    )  # fmt: skip


def _sft(recipe: MiniatureRecipe, plan: Plan, checkpoint: Path, trajectories: Path, epochs: float) -> SftRecipe:
    return SftRecipe(
        checkpoint=str(checkpoint), trajectories=(str(trajectories),), epochs=epochs, batch=recipe.batch, lora=None,
        freeze_vision=False, optimisation=_optimisation(recipe, plan.learning_rate, recipe.batch, 200),
    )  # fmt: skip


def _train_sft(settings: SftRecipe, folder: Path) -> None:
    sft.train(settings, folder, resume=(folder / RECIPE).exists())


def _practised(clock: dict[str, float], recipe: MiniatureRecipe, out: Path) -> Path:
    practice = recipe.practice
    seed = recipe.seed * 1_000_000 + PRACTICE
    simulated = _simulated(clock, out, "practice", seed, practice.scenes, recipe.lessons[-1].lesson)
    folder = out / "runs" / "grpo"
    episodes = practice.batch * practice.samples
    settings = GrpoRecipe(
        checkpoint=str(out / "checkpoints" / "sft"), mix=(Part(str(simulated)),), steps=practice.steps,
        batch=practice.batch, samples=practice.samples, rollout_batch=episodes, max_turns=recipe.max_turns,
        max_reply_tokens=recipe.max_reply_tokens, side=SIDE, segmenter="classical", beta=practice.beta,
        lora=practice.lora, freeze_vision=False,
        optimisation=_optimisation(recipe, practice.learning_rate, math.gcd(16, episodes), 20),
    )  # fmt: skip
    resume = (folder / RECIPE).exists()
    _stage(clock, "grpo", folder / FINAL, lambda _: grpo.train(settings, folder, resume=resume))
    return folder


def _results(clock: dict[str, float], recipe: MiniatureRecipe, out: Path, names: list[str]) -> dict[str, Any]:
    path = out / RESULTS
    if path.exists():
        held: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        return held
    seed = recipe.seed * 1_000_000 + HELD_OUT
    folder = _simulated(clock, out, "held-out", seed, recipe.held_out, recipe.lessons[-1].lesson)
    held_out = list(load_scenes(folder))
    segmenter = ClassicalSegmenter()
    scores: dict[str, list[Score]] = {}
    for name in tqdm(names, desc="evaluate"):
        scores[name] = evaluate(
            out / "checkpoints" / name, held_out, segmenter,
            max_turns=recipe.max_turns, max_reply_tokens=recipe.max_reply_tokens,
        )  # fmt: skip
    results = {
        "seed": recipe.seed,
        "held_out": len(held_out),
        "policies": {name: summary(scored) for name, scored in scores.items()},
        "gains": {
            f"{after} over {before}": gain(scores[after], scores[before])
            for after, before in (("sft", "untrained"), ("grpo", "sft"), ("control", "sft"), ("grpo", "control"))
            if after in scores and before in scores
        },
        "seconds": clock,
        "recipe": asdict(recipe),
    }
    write_json(path, results)
    return results
