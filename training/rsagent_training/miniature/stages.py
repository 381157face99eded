"""The miniature from nothing to figures, stage by stage; what is done stays done, and each policy is evaluated at once.

out/scenes/          scenes of every part, those for evaluation too
out/trajectories/    what the teacher did on them, and the right rollouts of rejection sampling
out/runs/            the training runs
out/checkpoints/     untrained, sft, grpo, control, rft and variants, each as the robot loads it
out/seconds.json     what each stage took
out/results.json     how each does on every scene of those that none has seen, and the curves of training
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import load_examples, save_examples
from rsagent_ros.yaml_file import read_yaml, write_yaml
from rsagent_training import grpo, rft, sft
from rsagent_training.merge import merge
from rsagent_training.miniature.evaluation import columns, evaluate, load_policy
from rsagent_training.miniature.network import PICTURES, save_untrained
from rsagent_training.miniature.recipe import MiniatureRecipe
from rsagent_training.miniature.teacher import TURNS, demonstration
from rsagent_training.miniature.world import SIDE
from rsagent_training.recipe_parts import MixPart, Optimisation
from rsagent_training.recipes import GrpoRecipe, SftRecipe
from rsagent_training.rewards import RewardConfig
from rsagent_training.trainer.run_folder import CURVE, FINAL, RECIPE, write_json
from rsagent_training.trajectories import ROWS, Trajectory, write_trajectories

DEMONSTRATED, PRACTICE, HELD_OUT = 1, 800_000, 900_000
"""Seeds of scenes, each plus the recipe's seed times a million."""

RESULTS, SECONDS = "results.json", "seconds.json"
_CURVES = ("loss", "reward", "episodes/iou", "episodes/turns", "episodes/wrong_found", "episodes/gave_up")
_POINTS = 60
"""Most points of a curve in the results."""

_ROLLOUTS = (64, 2)
"""Scenes, and episodes of each, that rejection sampling plays at a time."""


def run(recipe: MiniatureRecipe, out: Path) -> dict[str, Any]:
    """Run all stages; blocks, with progress on stderr. Finished stages are taken as they are.

    Returns:
        The content of `results.json`.

    Raises:
        FileExistsError: The folder is another recipe's.
        ValueError, RunFailed, TrainingStopped: As the stages have them.
    """
    return Miniature(recipe, out).run()


class Miniature:
    """The stages of one recipe in one folder."""

    def __init__(self, recipe: MiniatureRecipe, out: Path) -> None:
        """Take the folder.

        Raises:
            FileExistsError: It is another recipe's or release's; one with other variants is the same.
        """
        held = out / RECIPE
        if held.exists():
            try:
                before = read_yaml(held, MiniatureRecipe)
            except ValueError as error:
                raise FileExistsError(f"{held} is of another release ({error}); choose another folder") from error
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
        self._evaluate("untrained")
        taught = self._taught()
        plan = recipe.demonstrations
        self._learned("sft", "untrained", taught, plan.epochs, plan.learning_rate)
        self._practised("grpo", "sft", RewardConfig(), recipe.practice.steps)
        if recipe.control:
            episodes = recipe.practice.steps * recipe.practice.batch * recipe.practice.samples
            self._learned("control", "sft", taught, recipe.control * episodes / plan.scenes, plan.learning_rate)
        if recipe.rejection is not None:
            right = self._rollouts(recipe.rejection.rollouts)
            self._learned("rft", "sft", right, recipe.rejection.epochs, recipe.rejection.learning_rate)
        for variant in recipe.variants:
            begin, steps = "untrained" if variant.untrained else "sft", variant.steps or recipe.practice.steps
            self._practised(variant.name, begin, variant.reward, steps)
        return self._results()

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

    def _drawn(self, name: str, seed: int, count: int) -> Path:
        """A folder of scenes."""
        folder = self.out / "scenes" / name
        scenes = self.recipe.world.scenes(seed + self.recipe.seed * 1_000_000, count)
        self._stage(f"simulate {name}", folder / "scenes.jsonl", lambda _: save_examples(scenes, folder))
        return folder

    def _taught(self) -> Path:
        """Scenes and what the teacher did on them."""
        recipe = self.recipe
        drawn = self._drawn("demonstrations", DEMONSTRATED, recipe.demonstrations.scenes)
        folder = self.out / "trajectories" / "demonstrations"

        def pairs() -> Iterator[tuple[Example, Trajectory]]:
            for scene in tqdm(load_examples(drawn), total=recipe.demonstrations.scenes, desc="synthesize"):
                yield scene, demonstration(scene, recipe.world, PICTURES, self._segmenter, recipe.seed)

        self._stage("synthesize", folder / ROWS, lambda _: write_trajectories(folder, pairs()))
        return folder

    def _optimisation(self, rate: float, device_batch: int, save_every: int) -> Optimisation:
        return Optimisation(
            learning_rate=rate, weight_decay=0.01, beta2=0.98, schedule="linear", precision="float32",
            checkpointing=False, device_batch=device_batch, save_every=save_every, log_every=1, keep=1,
            seed=self.recipe.seed, cpu=True,
        )  # fmt: skip

    def _learned(self, name: str, begin: str, trajectories: Path, epochs: float, rate: float) -> None:
        """Supervised training, its checkpoint and its evaluation."""
        folder = self.out / "runs" / name
        settings = SftRecipe(
            checkpoint=str(self._checkpoint(begin)), trajectories=(str(trajectories),), epochs=epochs,
            batch=self.recipe.batch, lora=None, freeze_vision=False, min_iou=self.recipe.min_iou, max_turns=TURNS,
            optimisation=self._optimisation(rate, self.recipe.batch, 50),
        )  # fmt: skip
        resume = (folder / RECIPE).exists()
        self._stage(name, folder / FINAL, lambda _: sft.train(settings, folder, resume=resume))
        self._merged(name, folder)

    def _grpo_recipe(self, begin: str, steps: int, batch: int, samples: int, reward: RewardConfig) -> GrpoRecipe:
        recipe, practice = self.recipe, self.recipe.practice
        drawn = self._drawn("practice", PRACTICE, practice.scenes)
        return GrpoRecipe(
            checkpoint=str(self._checkpoint(begin)), mix=(MixPart(str(drawn)),), steps=steps, batch=batch,
            samples=samples, rollout_batch=batch * samples, min_turns=practice.min_turns, max_turns=practice.max_turns,
            max_reply_tokens=recipe.max_reply_tokens, side=SIDE, segmenter="classical", beta=practice.beta,
            lora=practice.lora, freeze_vision=False, reward=reward,
            optimisation=self._optimisation(practice.learning_rate, math.gcd(16, batch * samples), 10),
        )  # fmt: skip

    def _practised(self, name: str, begin: str, reward: RewardConfig, steps: int) -> None:
        """Reinforcement learning, its checkpoint and its evaluation."""
        practice, folder = self.recipe.practice, self.out / "runs" / name
        settings = self._grpo_recipe(begin, steps, practice.batch, practice.samples, reward)
        resume = (folder / RECIPE).exists()
        self._stage(name, folder / FINAL, lambda _: grpo.train(settings, folder, resume=resume))
        self._merged(name, folder)

    def _rollouts(self, count: int) -> Path:
        """Right rollouts of the policy that learned from demonstrations."""
        scenes, samples = _ROLLOUTS
        steps = max(1, count // (scenes * samples))
        settings = self._grpo_recipe("sft", steps, min(scenes, count // samples), samples, RewardConfig())
        folder = self.out / "trajectories" / "rollouts"
        self._stage("rollouts", folder / ROWS, lambda _: rft.sample(settings, folder))
        return folder

    def _merged(self, name: str, folder: Path) -> None:
        self._stage(f"merge {name}", self._checkpoint(name), lambda to: merge(folder, to))
        self._evaluate(name)

    @cached_property
    def _held_out(self) -> list[Example]:
        return list(load_examples(self._drawn("held-out", HELD_OUT, self.recipe.held_out)))

    def _evaluate(self, name: str) -> None:
        """Add what is not in the results yet, one limit of turns after the other."""
        recipe, path = self.recipe, self.out / RESULTS
        policies = json.loads(path.read_bytes())["policies"] if path.exists() else {}
        under = policies.setdefault(name, {})
        missing = [limit for limit in recipe.turn_limits if str(limit) not in under]
        if not missing:
            return
        policy = load_policy(self._checkpoint(name))
        started = time.monotonic()
        for limit in tqdm(missing, desc=f"evaluate {name}"):
            found = evaluate(
                policy, self._held_out, self._segmenter, max_turns=limit, max_reply_tokens=recipe.max_reply_tokens
            )
            under[str(limit)] = columns(found)
            self._write(policies)
        sys.stderr.write(f"evaluated {name} in {time.monotonic() - started:.0f} s\n")

    def _results(self) -> dict[str, Any]:
        """The results with the newest times and curves."""
        return self._write(json.loads((self.out / RESULTS).read_bytes())["policies"])

    def _write(self, policies: dict[str, Any]) -> dict[str, Any]:
        runs = sorted(folder for folder in (self.out / "runs").glob("*") if (folder / FINAL).exists())
        results = {
            "world": "search",
            "seed": self.recipe.seed,
            "policies": policies,
            "curves": {folder.name: _curve(folder / CURVE) for folder in runs},
            "seconds": json.loads((self.out / SECONDS).read_bytes()),
            "recipe": asdict(self.recipe),
        }
        # One line for each list: a file that people commit should have fewer lines than numbers.
        text = re.sub(r"\[[^][{}]*\]", lambda found: "".join(found[0].split()), json.dumps(results, indent=1))
        atomic_write(self.out / RESULTS, f"{text}\n".encode())
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
