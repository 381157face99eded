"""Episodes on scenes that are held out: how good the policy is by now, its best weights, and when to stop."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from accelerate.utils import gather_object
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.models.utils import unwrap_model_for_generation

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import Score, score
from rsagent_training.recipe_parts import HeldOut, MixPart, SftHeldOut
from rsagent_training.recipes import GrpoRecipe, SftRecipe
from rsagent_training.rollouts.local import LocalRollouts
from rsagent_training.trainer.mix import Mix
from rsagent_training.trainer.policy_model import save_result
from rsagent_training.trainer.rollout_pages import EPISODES, FOLDER, write_page
from rsagent_training.trainer.run_folder import BEST, TrainingStopped, write_json
from rsagent_training.trainer.step_notes import shares_of_endings

FILE = "held_out.json"


class Evaluated(TypedDict):
    """One evaluation, as it stands in `held_out.json`."""

    step: int
    value: float


class HeldOutEvaluation(TrainerCallback):
    """Evaluations of a run. Each is the same whenever its step is made again, so that a run can be resumed.

    Attributes:
        evaluated: So far, in order.
    """

    def __init__(
        self,
        trainer: Trainer,
        checkpoint: Checkpoint,
        recipe: SftRecipe | GrpoRecipe,
        segmenter: Segmenter[Any],
        out: Path,
    ) -> None:
        """Prepare.

        Args:
            trainer: Made, and not begun.
            checkpoint: Its model's.
            recipe: With `held_out`.
            segmenter: Of the episodes.
            out: Folder of the run.

        Raises:
            FileNotFoundError, ValueError: Scenes that are missing or damaged, or weights that FSDP splits.
        """
        if trainer.is_fsdp_enabled:
            raise ValueError("weights that FSDP splits can't play episodes; leave out held_out, or use DeepSpeed")
        self._trainer = trainer
        self._recipe = recipe
        self._held_out = held_out_of(recipe)
        self._out = out
        playing = episodes_recipe(recipe)
        self._mix = Mix(playing.mix, recipe.optimisation.seed)
        self._at_once = playing.rollout_batch
        self._rollouts = LocalRollouts(checkpoint, playing, segmenter, temperature=0.0)
        self.evaluated: list[Evaluated] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Take up the evaluations before the step that the run goes on from."""
        if state.global_step and (self._out / FILE).is_file():
            rows = json.loads((self._out / FILE).read_bytes())
            self.evaluated = [row for row in rows if row["step"] <= state.global_step]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Evaluate where it is due, and end a run that does not get better.

        Raises:
            TrainingStopped: Not one episode could be run.
        """
        if state.global_step % self._held_out.every == 0 or state.global_step == state.max_steps:
            logs = control.should_log
            self._evaluate(state)
            control.should_log = logs  # what was logged here was not the step
        if self._spent():
            control.should_training_stop = True

    def _spent(self) -> bool:
        patience, values = self._held_out.patience, [one["value"] for one in self.evaluated]
        return patience is not None and len(values) > patience and max(values[-patience:]) <= max(values[:-patience])

    def _evaluate(self, state: TrainerState) -> None:
        started, step = time.perf_counter(), state.global_step
        scores, episodes = self._play(step)
        figures = {"value": float(np.mean([one.value for one in scores])), **shares_of_endings(scores)}
        best = max((one["value"] for one in self.evaluated), default=-np.inf)
        self.evaluated.append({"step": step, "value": figures["value"]})
        if figures["value"] > best:
            save_result(self._trainer, self._recipe, self._out / BEST)
        if state.is_world_process_zero:
            write_json(self._out / FILE, self.evaluated)
            write_page(
                self._out / FOLDER / f"held-out-{step}.html", episodes, f"{self._out.name}, held out, step {step}"
            )
        model: Any = self._trainer.model
        training = model.training
        model.eval()  # or TRL would take the step's own figures for these
        self._trainer.log(
            {f"held_out/{name}": value for name, value in figures.items()}
            | {"time/held_out": time.perf_counter() - started}
        )
        model.train(training)

    def _play(self, step: int) -> tuple[list[Score], list[tuple[Example, Trace]]]:
        """Scores of all scenes, which the processes share, and the first episodes of this process."""
        trainer = self._trainer
        accelerator = trainer.accelerator
        mine = range(accelerator.process_index, len(self._mix), accelerator.num_processes)
        training = trainer.model.training  # type: ignore[union-attr]
        scores: list[Score] = []
        shown: list[tuple[Example, Trace]] = []
        fault = ""
        with unwrap_model_for_generation(trainer.model_wrapped, accelerator) as whole:
            model: Any = whole
            model.eval()
            try:
                for begin in range(0, len(mine), self._at_once):
                    scenes = [self._mix[number] for number in mine[begin : begin + self._at_once]]
                    traces = self._rollouts.run(model, scenes, step, [0] * len(scenes))
                    scores += [score(prediction_of(trace), scene) for trace, scene in zip(traces, scenes, strict=True)]
                    shown = [*shown, *zip(scenes, traces, strict=True)][:EPISODES]
                    fault = next((one.error_msg for one in traces if one.outcome is Outcome.FAILED), fault)
            finally:
                model.train(training)
        every: list[Score] = gather_object(scores)
        if all(one.outcome is Outcome.FAILED for one in every):
            raise TrainingStopped(f"not one episode on held-out scenes could be run: {fault}; the run can be resumed")
        return every, shown


def held_out_of(recipe: SftRecipe | GrpoRecipe) -> HeldOut:
    """The recipe's part about held-out scenes.

    Raises:
        ValueError: It has none.
    """
    if recipe.held_out is None:
        raise ValueError("the recipe has no held_out")
    return recipe.held_out


def episodes_recipe(recipe: SftRecipe | GrpoRecipe) -> GrpoRecipe:
    """The recipe of the episodes: of reinforcement learning its own, with the full number of turns.

    Raises:
        ValueError: The recipe has no held-out scenes.
    """
    mix = (MixPart(held_out_of(recipe).scenes, held_out_of(recipe).count),)
    if isinstance(recipe, GrpoRecipe):
        return replace(recipe, mix=mix, min_turns=None, server=None)
    given = recipe.held_out or SftHeldOut("")
    return GrpoRecipe(
        recipe.checkpoint, mix, recipe.optimisation,
        max_turns=recipe.max_turns, max_tokens=recipe.max_tokens, max_reply_tokens=given.max_reply_tokens,
        side=given.side, rollout_batch=given.rollout_batch, lora=recipe.lora,
        segmenter=given.segmenter, segmenter_settings=given.segmenter_settings,
    )  # fmt: skip
