"""Reinforcement learning by GRPO: the policy plays episodes in groups; what did better than the group is reinforced.

    rsagent grpo config/training/grpo.yaml --out runs/grpo
    accelerate launch --config_file config/training/deepspeed.yaml -m rsagent_training.grpo RECIPE --out runs/grpo

TRL's GRPOTrainer makes the groups, the loss and the steps. `_generate_and_score_completions` is ours: it plays our
`Episode` instead of completing a prompt, and lays out what TRL's loss reads. Different from the textbook:

- tokens, pictures and log-probabilities are those that were recorded, never text that was tokenised again;
  observations and the chat's frame carry no loss;
- the advantage (`rewards.credit`) is one number for each turn, by default the same for all of an episode, laid over
  the tokens of that turn;
- where a server samples with older weights, or this process in half precision (`max_ratio`), the truncated ratio of
  both policies multiplies the advantage (Yao et al., 2025, "off-policy rollout"): the same as TRL's own correction,
  since clipping commutes with a factor of 0 or more;
- a group with an episode that could not be run is left out, and rows of another stand in for it without loss; an
  episode that grew too long gave up.

Left out: reward functions inside TRL (reward and credit are computed together, in one call); a reward model and a value
network; sampling with top-p, a temperature other than 1 or a grammar; dropout; a bonus for entropy; the correction of
the KL term for old samples. The ratio of new to old policy is 1, and clips nothing, unless `iterations` is more than 1
or a server samples.

The private methods of TRL that this stands on are why it is pinned to one minor release. test/training/test_grpo.py
holds what they do against plain torch.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import PeftModel
from trl import GRPOConfig, GRPOTrainer
from trl.models.utils import unwrap_model_for_generation

from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.trained_format import write_format
from rsagent_training.command_line import main_of
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.rewards import Reward, credit, episode_reward
from rsagent_training.rollouts.episodes import Rollouts, seeds_of
from rsagent_training.rollouts.local import LocalRollouts
from rsagent_training.trainer import run_folder
from rsagent_training.trainer.dropped_groups import DroppedGroups
from rsagent_training.trainer.episode_batch import Batch, lay_out, recorded_logps, share_of_other_prompts
from rsagent_training.trainer.epoch_sampler import EpochSampler
from rsagent_training.trainer.finite_guard import FiniteGuard
from rsagent_training.trainer.held_out import HeldOutEvaluation
from rsagent_training.trainer.mix import Mix
from rsagent_training.trainer.policy_model import (
    load_policy_model,
    load_segmenter,
    load_tokenizer,
    lora_config,
    run_format,
    save_result,
    trainer_arguments,
)
from rsagent_training.trainer.rollout_pages import EPISODES, RolloutPages
from rsagent_training.trainer.step_notes import step_notes
from rsagent_training.trainer.token_sequence import TokenSequence, sequence_of


class EpisodeTrainer(GRPOTrainer):
    """GRPOTrainer whose rollouts are episodes."""

    args: GRPOConfig
    model: Any

    def __init__(self, checkpoint: Checkpoint, mix: Mix, rollouts: Rollouts, recipe: GrpoRecipe, out: Path) -> None:
        self._checkpoint = checkpoint
        self._mix = mix
        self._rollouts = rollouts
        self._recipe = recipe
        self._guard = FiniteGuard(out)
        self._pages = RolloutPages(out)
        self._dropped = DroppedGroups(recipe.samples, recipe.max_dropped_groups)
        length: dict[str, Any] = {"num_train_epochs": 1} if recipe.steps is None else {"max_steps": recipe.steps}
        super().__init__(
            model=checkpoint.model,
            reward_funcs=_never_called,
            train_dataset=Dataset.from_dict({"number": range(len(mix))}),
            processing_class=load_tokenizer(recipe.checkpoint),
            peft_config=lora_config(recipe.lora),
            callbacks=[self._guard, self._pages],
            args=GRPOConfig(
                **trainer_arguments(recipe.optimisation, out, recipe.batch * recipe.samples),
                **length,
                num_generations=recipe.samples,
                num_iterations=recipe.iterations,
                loss_type=recipe.loss_type,
                max_completion_length=recipe.max_turns * recipe.max_reply_tokens,  # what dr_grpo divides by
                beta=recipe.beta,
                epsilon=recipe.epsilon,
                epsilon_high=recipe.epsilon_high,
                use_bias_correction_kl=False,
                temperature=1.0,
                disable_dropout=True,
                shuffle_dataset=True,
            ),
        )
        local = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        if local % recipe.samples:
            raise ValueError(
                f"each device has {local} episodes a step, which splits groups of {recipe.samples}; choose a batch "
                "that is a multiple of the number of devices"
            )
        if self.is_fsdp_enabled:
            raise ValueError("weights that FSDP splits can't sample, nor be handed to a server; use DeepSpeed")
        if recipe.server is not None and self.accelerator.num_processes > 1:
            raise ValueError("a server is handed the adapter of one process; train with one, or leave out server")

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        """Play an episode for each row, judge them, and lay tokens and advantages out as `_compute_loss` reads them."""
        started = time.perf_counter()
        scenes = self._scenes(inputs)
        traces = self._play(scenes)
        rollout_seconds = time.perf_counter() - started
        self._pages.newest = [*zip(scenes, traces, strict=True)][:EPISODES]
        rows = self._dropped.stand_ins(traces)
        traces, scenes = [traces[row] for row in rows], [scenes[row] for row in rows]
        rewards, advantages = self._judge(traces, scenes)
        sequences = [
            sequence_of(trace, scene.image, self._checkpoint, name=scene.id, sampled=True)
            for trace, scene in zip(traces, scenes, strict=True)
        ]
        kept = [row for row, stand_in in enumerate(rows) if row == stand_in]
        for row in {*range(len(rows))} - {*kept}:
            sequences[row] = replace(sequences[row], loss_mask=np.zeros_like(sequences[row].loss_mask))
        batch = lay_out(sequences, advantages, self._checkpoint, self.accelerator.device)
        batch["num_items_in_batch"] = self.accelerator.gather(batch["tool_mask"].sum()).sum()
        with torch.no_grad():
            if self._recipe.iterations > 1 or self._compared:
                batch["old_per_token_logps"] = self._logps(self.model, batch)
            if self.beta > 0:
                batch["ref_per_token_logps"] = self._reference_logps(batch)
        notes = self._correct(batch, traces, sequences) if self._compared else {}
        notes |= step_notes(
            [traces[row] for row in kept],
            [scenes[row] for row in kept],
            [rewards[row] for row in kept],
            [sequences[row] for row in kept],
            self._recipe.samples,
            self._recipe.reward,
        )
        notes["episodes/dropped"] = 1 - len(kept) / len(rows)
        notes["time/rollout"] = rollout_seconds
        notes["time/tools"] = sum(turn.tool_seconds for trace in traces for turn in trace.turns)
        notes["time/scoring"] = time.perf_counter() - started - rollout_seconds
        self._log(notes)
        return batch

    @property
    def _compared(self) -> bool:
        """Whether what was sampled is held against the training pass: a server or half precision may differ."""
        recipe = self._recipe
        return recipe.server is not None or recipe.max_ratio is not None or recipe.optimisation.precision != "float32"

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        """Scenes in a new order in each epoch, each as often as it is played and learned from."""
        scenes: Any = self.train_dataset if dataset is None else dataset
        return EpochSampler(
            scenes,
            mini_repeat_count=self._recipe.samples,
            batch_size=self._recipe.batch,
            repeat_count=self._recipe.iterations * self.args.gradient_accumulation_steps,
            seed=self.args.seed,
        )

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Compute the loss as GRPOTrainer does.

        Raises:
            TrainingStopped: The loss is not a finite number.
        """
        loss: torch.Tensor = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self._guard.check_loss(loss, inputs["names"], self.state.global_step)
        return loss

    def _scenes(self, inputs: list[dict[str, Any]]) -> list[Example]:
        """The scene of each row, read once for each group."""
        numbers = [row["number"] for row in inputs]
        once = {number: self._mix[number] for number in dict.fromkeys(numbers)}
        return [once[number] for number in numbers]

    def _play(self, scenes: list[Example]) -> list[Trace]:
        step, process = self.state.global_step, self.accelerator.process_index
        seeds = seeds_of(self._recipe.optimisation.seed, step, process, len(scenes))
        training = self.model.training
        whole: Any = nullcontext(self.accelerator.unwrap_model(self.model))
        if self._recipe.server is None:
            whole = unwrap_model_for_generation(self.model_wrapped, self.accelerator)
        with whole as model:
            model.eval()
            try:
                return self._rollouts.run(model, scenes, step, seeds)
            finally:
                model.train(training)

    def _judge(self, traces: list[Trace], scenes: list[Example]) -> tuple[list[Reward], list[tuple[float, ...]]]:
        """Reward of every episode, and advantages of its turns within its group; groups follow one another."""
        config, samples = self._recipe.reward, self._recipe.samples
        rewards = [episode_reward(trace, scene, config) for trace, scene in zip(traces, scenes, strict=True)]
        advantages: list[tuple[float, ...]] = []
        for begin in range(0, len(rewards), samples):
            advantages += credit(rewards[begin : begin + samples], config)
        return rewards, advantages

    def _logps(self, model: Any, batch: Batch) -> torch.Tensor:
        """(episodes, completion tokens) log-probabilities under a model."""
        logps, _, _ = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].shape[1],
            batch_size=self._recipe.optimisation.device_batch,
            **{name: batch[name] for name in ("pixel_values", "image_grid_thw", "num_images", "mm_token_type_ids")},
        )
        return logps

    def _reference_logps(self, batch: Batch) -> torch.Tensor:
        """Under the checkpoint that training began with."""
        if self.ref_model is not None:
            return self._logps(self.ref_model, batch)
        adapted = self.accelerator.unwrap_model(self.model)
        if not isinstance(adapted, PeftModel):
            raise TypeError(f"{type(adapted).__name__} has neither an adapter to turn off nor a reference beside it")
        with adapted.disable_adapter():
            return self._logps(self.model, batch)

    def _correct(self, batch: Batch, traces: list[Trace], sequences: list[TokenSequence]) -> dict[str, float]:
        """Weigh advantages by how much likelier their tokens are now than for the policy that sampled them.

        Returns:
            How far the two are apart, to be logged; where there is no `max_ratio`, nothing is weighed.
        """
        server = self._recipe.server
        max_ratio = self._recipe.max_ratio if server is None else server.max_ratio
        mask = batch["tool_mask"].bool()
        sampled = recorded_logps(traces, sequences, mask.shape[1]).to(mask.device)
        apart = (batch["old_per_token_logps"] - sampled)[mask]
        notes = {"rollout/logp_gap": apart.abs().mean().item(), "rollout/logp_gap_most": apart.abs().max().item()}
        if max_ratio is not None:
            ratio = torch.exp((batch["old_per_token_logps"] - sampled) * mask)
            batch["advantages"] *= ratio.clamp(max=max_ratio)
            notes["stale/ratio"] = ratio[mask].mean().item()
            notes["stale/truncated"] = (ratio[mask] > max_ratio).float().mean().item()
        if server is not None:
            notes["stale/other_prompt"] = share_of_other_prompts(traces, sequences)
        return notes

    def _log(self, notes: dict[str, float]) -> None:
        """Note figures of this step, as means over the processes, which all have the same names."""
        mine = torch.tensor([list(notes.values())], dtype=torch.float64).to(self.accelerator.device, torch.float32)
        means = self.accelerator.gather(mine).double().mean(dim=0).tolist()
        metrics = self._metrics["train" if self.model.training else "eval"]
        for name, mean in zip(notes, means, strict=True):
            metrics[name].append(mean)


def train(recipe: GrpoRecipe, out: Path, *, resume: bool = False, rollouts: Rollouts | None = None) -> Path:
    """Train; blocks for as long as that takes, with progress on stderr.

    Args:
        recipe: What to do.
        out: Folder of the run.
        resume: Go on with a run that was broken off.
        rollouts: Who runs the episodes; by default as the recipe says.

    Returns:
        The folder of the result: an adapter, or a checkpoint.

    Raises:
        FileExistsError: The folder holds another run.
        FileNotFoundError, ValueError: Scenes that are missing or damaged, or a batch that can't be shared.
        RunFailed: The checkpoint or the segmenter can't be loaded.
        TrainingStopped: Too many episodes could not be run, or the loss became something that is not a finite number.
    """
    last = run_folder.begin(out, recipe, resume=resume)
    checkpoint = load_policy_model(recipe)
    if last is not None:
        checkpoint = replace(checkpoint, trained=run_format(out))
    mix = Mix(recipe.mix, recipe.optimisation.seed)
    if len(mix) < recipe.batch:
        raise ValueError(f"the mix has {len(mix)} scenes; a step takes {recipe.batch}: collect more, or lower batch")
    segmenter: Any = load_segmenter(recipe) if rollouts is None or recipe.held_out is not None else None
    if rollouts is None:
        rollouts = _rollouts(checkpoint, recipe, segmenter, out)
    trainer = EpisodeTrainer(checkpoint, mix, rollouts, recipe, out)
    if recipe.held_out is not None:
        trainer.add_callback(HeldOutEvaluation(trainer, checkpoint, recipe, segmenter, out))
    if trainer.is_world_process_zero():
        write_format(out, checkpoint.trained)
        run_folder.write_json(out / run_folder.DATA, {"scenes": mix.counts})
        sys.stderr.write(f"{len(mix)} scenes: {mix.counts}\n")
    with closing(rollouts):
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    final = out / run_folder.FINAL
    save_result(trainer, recipe, final)
    return final


def _never_called(**_: Any) -> list[float | None]:
    """Stand in for the reward that TRL's constructor wants: `_judge` computes rewards and credit together.

    Raises:
        RuntimeError: TRL scores completions itself, which no release that this is pinned to does.
    """
    raise RuntimeError("TRL asked for rewards that are computed with the advantages; use the release that is pinned")


def _rollouts(checkpoint: Checkpoint, recipe: GrpoRecipe, segmenter: Segmenter[Any], out: Path) -> Rollouts:
    if recipe.server is None:
        return LocalRollouts(checkpoint, recipe, segmenter)
    from rsagent_training.rollouts.server import ServerRollouts

    return ServerRollouts(checkpoint, recipe, segmenter, out)


if __name__ == "__main__":
    sys.exit(main_of(GrpoRecipe, train))
