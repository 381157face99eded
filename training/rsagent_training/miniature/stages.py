"""The miniature from nothing to figures: simulate, synthesize, sft, grpo, merge, evaluate; what is done stays done.

out/scenes/          scenes of every part, those for evaluation too
out/trajectories/    what the teacher did on them
out/runs/            the training runs
out/checkpoints/     untrained, sft, grpo, the control and variants, each as the robot loads it
out/seconds.json     what each stage took
out/results.json     how each does on every scene of those that none has seen, and the curves of training
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import load_examples, save_examples
from rsagent_ros.yaml_file import read_yaml, write_yaml
from rsagent_training import grpo, sft
from rsagent_training.merge import merge
from rsagent_training.miniature.evaluation import columns, evaluate
from rsagent_training.miniature.network import PICTURES, save_untrained
from rsagent_training.miniature.recipe import CurriculumStage, MiniatureRecipe
from rsagent_training.miniature.teacher import lesson
from rsagent_training.miniature.world import SIDE, Lesson, scenes
from rsagent_training.recipes import GrpoRecipe, MixPart, Optimisation, SftRecipe
from rsagent_training.rewards import RewardConfig
from rsagent_training.trainer.run_folder import CURVE, FINAL, RECIPE, write_json
from rsagent_training.trajectories import ROWS, Trajectory, write_trajectories

HELD_OUT, PRACTICE = 900_000, 800_000
"""Seeds of scenes, far from those of the lessons (1, 2, ...), each plus the recipe's seed times a million."""

RESULTS, SECONDS = "results.json", "seconds.json"
_CURVES = ("loss", "reward", "episodes/iou", "episodes/turns")
_POINTS = 60
"""Most points of a curve in the results."""


def run(recipe: MiniatureRecipe, out: Path) -> dict[str, Any]:
    """Run all stages; blocks, with progress on stderr. Finished stages are taken as they are.

    Returns:
        The content of `results.json`.

    Raises:
        FileExistsError: The folder is another recipe's.
        ValueError, RunFailed, TrainingStopped: As the stages have them.
    """
    return Miniature(recipe, out).run()


LIMITED = ("sft", "grpo")
"""Policies that are evaluated under other limits of turns, too."""


class Miniature:
    """The stages of one recipe in one folder."""

    def __init__(self, recipe: MiniatureRecipe, out: Path) -> None:
        """Take the folder.

        Raises:
            FileExistsError: It is another recipe's; one with other variants is the same.
        """
        held = out / RECIPE
        if held.exists():
            before = read_yaml(held, MiniatureRecipe)
            if replace(before, variants=recipe.variants, turn_limits=recipe.turn_limits) != recipe:
                raise FileExistsError(f"{held} is another recipe; choose another folder")
        out.mkdir(parents=True, exist_ok=True)
        write_yaml(recipe, held)
        self.recipe = recipe
        self.out = out
        self._segmenter = ClassicalSegmenter()

    def run(self) -> dict[str, Any]:
        """Run all stages, like the function `run`."""
        recipe = self.recipe
        self._stage("untrained", self._checkpoint("untrained"), lambda to: save_untrained(to, recipe.seed))
        learned = self._checkpoint("untrained")
        for number, plan in enumerate(recipe.lessons, 1):
            trajectories = self._taught(plan, number)
            learned = self._sft(f"sft-{number}", plan, learned, trajectories, plan.epochs)
        self._merged("sft", learned.parent)
        self._practised("grpo", "sft", RewardConfig(), recipe.practice.steps)
        names = ["untrained", "sft", "grpo"]
        if recipe.control:
            plan = recipe.lessons[-1]
            episodes = recipe.practice.steps * recipe.practice.batch * recipe.practice.samples
            epochs = recipe.control * episodes / plan.scenes
            final = self._sft("control", plan, self._checkpoint("sft"), trajectories, epochs)
            self._merged("control", final.parent)
            names.append("control")
        for variant in recipe.variants:
            begin, steps = "untrained" if variant.untrained else "sft", variant.steps or recipe.practice.steps
            self._practised(variant.name, begin, variant.reward, steps)
            names.append(variant.name)
        return self._results(names)

    def _checkpoint(self, name: str) -> Path:
        return self.out / "checkpoints" / name

    def _stage(self, name: str, result: Path, work: Callable[[Path], object]) -> None:
        """Do what makes `result`, unless it is there."""
        if result.exists():
            return
        sys.stderr.write(f"== {name}\n")
        started = time.monotonic()
        work(result)
        path = self.out / SECONDS
        seconds = json.loads(path.read_bytes()) if path.exists() else {}
        write_json(path, {**seconds, name: round(time.monotonic() - started, 1)})

    def _simulated(self, name: str, seed: int, count: int, kind: Lesson) -> Path:
        folder = self.out / "scenes" / name
        rows = folder / "scenes.jsonl"
        self._stage(f"simulate {name}", rows, lambda _: save_examples(scenes(seed, count, kind), folder))
        return folder

    def _taught(self, plan: CurriculumStage, number: int) -> Path:
        """Scenes of a lesson and what the teacher did on them."""
        name, seed = f"lesson-{number}", self.recipe.seed
        simulated = self._simulated(name, seed * 1_000_000 + number, plan.scenes, plan.lesson)
        folder = self.out / "trajectories" / name

        def pairs() -> Iterator[tuple[Example, Trajectory]]:
            for scene in tqdm(load_examples(simulated), total=plan.scenes, desc=f"synthesize {name}"):
                yield scene, lesson(scene, PICTURES, self._segmenter, seed)

        self._stage(f"synthesize {name}", folder / ROWS, lambda _: write_trajectories(folder, pairs()))
        return folder

    def _optimisation(self, rate: float, device_batch: int, save_every: int) -> Optimisation:
        return Optimisation(
            learning_rate=rate, weight_decay=0.01, beta2=0.98, schedule="linear", precision="float32",
            checkpointing=False, device_batch=device_batch, save_every=save_every, log_every=1, keep=1,
            seed=self.recipe.seed, cpu=True,
        )  # fmt: skip

    def _sft(self, name: str, plan: CurriculumStage, checkpoint: Path, trajectories: Path, epochs: float) -> Path:
        folder = self.out / "runs" / name
        settings = SftRecipe(
            checkpoint=str(checkpoint), trajectories=(str(trajectories),), epochs=epochs, batch=self.recipe.batch,
            lora=None, freeze_vision=False, min_iou=self.recipe.min_iou,
            optimisation=self._optimisation(plan.learning_rate, self.recipe.batch, 200),
        )  # fmt: skip
        final = folder / FINAL
        self._stage(name, final, lambda _: sft.train(settings, folder, resume=(folder / RECIPE).exists()))
        return final

    def _practised(self, name: str, begin: str, reward: RewardConfig, steps: int) -> None:
        recipe, practice = self.recipe, self.recipe.practice
        seed = recipe.seed * 1_000_000 + PRACTICE
        simulated = self._simulated("practice", seed, practice.scenes, recipe.lessons[-1].lesson)
        folder = self.out / "runs" / name
        episodes = practice.batch * practice.samples
        settings = GrpoRecipe(
            checkpoint=str(self._checkpoint(begin)), mix=(MixPart(str(simulated)),), steps=steps,
            batch=practice.batch, samples=practice.samples,
            rollout_batch=episodes, max_turns=recipe.max_turns, max_reply_tokens=recipe.max_reply_tokens, side=SIDE,
            segmenter="classical", beta=practice.beta, lora=practice.lora, freeze_vision=False, reward=reward,
            optimisation=self._optimisation(practice.learning_rate, math.gcd(16, episodes), 20),
        )  # fmt: skip
        resume = (folder / RECIPE).exists()
        self._stage(name, folder / FINAL, lambda _: grpo.train(settings, folder, resume=resume))
        self._merged(name, folder)

    def _merged(self, name: str, folder: Path) -> None:
        self._stage(f"merge {name}", self._checkpoint(name), lambda to: merge(folder, to))

    def _results(self, names: list[str]) -> dict[str, Any]:
        """Evaluate what is not in the results yet."""
        recipe, path = self.recipe, self.out / RESULTS
        before = json.loads(path.read_bytes()) if path.exists() else {}
        policies, limited = before.get("policies", {}), before.get("limited", {})
        missing = [name for name in names if name not in policies]
        under = [(name, limit) for name in LIMITED for limit in recipe.turn_limits]
        unknown = [(name, limit) for name, limit in under if str(limit) not in limited.setdefault(name, {})]
        seed = recipe.seed * 1_000_000 + HELD_OUT
        folder = self._simulated("held-out", seed, recipe.held_out, recipe.lessons[-1].lesson)
        held_out = list(load_examples(folder)) if missing or unknown else []

        def scored(name: str, limit: int) -> dict[str, list[Any]]:
            scores = evaluate(
                self._checkpoint(name), held_out, self._segmenter,
                max_turns=limit, max_reply_tokens=recipe.max_reply_tokens,
            )  # fmt: skip
            return columns(scores)

        for name in tqdm(missing, desc="evaluate"):
            policies[name] = scored(name, recipe.max_turns)
        for name, limit in tqdm(unknown, desc="turn limits", disable=not unknown):
            limited[name][str(limit)] = scored(name, limit)["iou"]
        results = {
            "seed": recipe.seed,
            "policies": policies,
            "limited": limited,
            "curves": {folder.name: _curve(folder / CURVE) for folder in sorted((self.out / "runs").iterdir())},
            "seconds": json.loads((self.out / SECONDS).read_bytes()),
            "recipe": asdict(recipe),
        }
        write_json(path, results)
        return results


def _curve(path: Path) -> dict[str, list[float]]:
    """Curves of what was logged, thinned out: the mean of as many neighbouring rows as it takes."""
    rows = [row for row in json.loads(path.read_bytes()) if "loss" in row]
    width = math.ceil(len(rows) / _POINTS)
    groups = [rows[begin : begin + width] for begin in range(0, len(rows), width)]
    return {
        name: [round(sum(row[name] for row in group) / len(group), 4) for group in groups]
        for name in ("step", *_CURVES)
        if name in rows[0]
    }
