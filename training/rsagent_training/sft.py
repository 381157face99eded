"""Supervised training: the policy learns to say what the trajectories say, and nothing else.

    rsagent sft config/training/sft.yaml --out runs/sft
    accelerate launch --config_file config/training/fsdp.yaml -m rsagent_training.sft RECIPE --out runs/sft

Loss is on the tokens of replies alone, and only of turns with `learn`: observations, repair messages, the chat's frame
and injected mistakes carry none. TRL's SFTTrainer does the rest; its own reading of chats is not used, because the
tokens must be those that the robot's policy feeds (`trainer.token_sequence`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from datasets import Dataset
from tqdm import tqdm
from trl import SFTConfig, SFTTrainer

from rsagent_ros.agent.actions import tool_set
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.trained_format import TrainedFormat, write_format
from rsagent_training.command_line import main_of
from rsagent_training.recipes import SftRecipe
from rsagent_training.scene_index import SceneIndex
from rsagent_training.trainer import run_folder
from rsagent_training.trainer.finite_guard import FiniteGuard
from rsagent_training.trainer.held_out import HeldOutEvaluation, episodes_recipe
from rsagent_training.trainer.policy_model import (
    load_policy_model,
    load_segmenter,
    load_tokenizer,
    lora_config,
    save_result,
    trainer_arguments,
)
from rsagent_training.trainer.token_sequence import TokenSequence, collate, sequence_of, token_count
from rsagent_training.trajectories import SCENES, Trajectory, read_rows


@dataclass(frozen=True)
class TrajectoryRef:
    """A trajectory and where its scene is: the picture is read when it is its turn."""

    trajectory: Trajectory
    scenes: SceneIndex


class Trajectories:
    """Trajectories as sequences, made anew every time they are asked for: a picture stays in memory for one batch."""

    def __init__(self, rows: Sequence[TrajectoryRef], checkpoint: Checkpoint) -> None:
        self.rows = rows
        self._checkpoint = checkpoint

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> TokenSequence:
        row = self.rows[number]
        trajectory = row.trajectory
        frame = row.scenes.image(trajectory.scene_id)
        return sequence_of(trajectory.trace, frame, self._checkpoint, name=trajectory.id, learn=trajectory.learn)

    @property
    def trained(self) -> TrainedFormat:
        """The shape of the overlays in all of them, and the tools in any of them: each chat says which it has.

        Raises:
            ValueError: Overlays differ: a model that learns from both knows neither.
        """
        formats = [row.trajectory.trace.pictures for row in self.rows]
        first, *others = {pictures.overlay for pictures in formats}
        if others:
            raise ValueError(
                "some trajectories have square overlays (release 0.1.0), others overlays in the shape of the view; "
                "make the old ones again with `rsagent synthesize`"
            )
        return TrainedFormat(first, tool_set(chain.from_iterable(pictures.tools for pictures in formats)))

    def batch(self, chosen: Sequence[dict[str, int]]) -> dict[str, Any]:
        """A batch of the trajectories with these numbers, and their names."""
        sequences = [self[one["number"]] for one in chosen]
        return {**collate(sequences, self._checkpoint), "names": [sequence.name for sequence in sequences]}


def select(recipe: SftRecipe, checkpoint: Checkpoint) -> tuple[Trajectories, dict[str, int]]:
    """The trajectories that pass every filter of the recipe, and how many each filter took out.

    Raises:
        FileNotFoundError: A folder is not one of trajectories.
        ValueError: A damaged line or picture, or nothing is left; the message says which filter took how many.
    """
    counts: Counter[str] = Counter()
    kept: list[tuple[Trajectory, Path]] = []
    folders = [Path(folder).expanduser() for folder in recipe.trajectories]
    scenes: dict[Path, SceneIndex] = {}
    for folder in folders:
        scenes[folder] = SceneIndex(folder / SCENES)
        for trajectory in tqdm(read_rows(folder, scenes[folder]), desc=f"reading {folder}", unit=""):
            counts["read"] += 1
            if trajectory.iou < recipe.min_iou:
                counts[f"under min_iou {recipe.min_iou:g}"] += 1
            elif len(trajectory.trace.turns) > recipe.max_turns:
                counts[f"over max_turns {recipe.max_turns}"] += 1
            elif trajectory.trace.pictures.coordinates != checkpoint.family.coordinates:
                counts[f"made for another family than {checkpoint.family.name}"] += 1
            elif token_count(trajectory.trace, checkpoint) > recipe.max_tokens:
                counts[f"over max_tokens {recipe.max_tokens}"] += 1
            else:
                counts["kept"] += 1
                kept.append((trajectory, folder))
    if not kept:
        taken = ", ".join(f"{count} {name}" for name, count in counts.items() if name != "read")
        raise ValueError(
            f"of {counts['read']} trajectories in {', '.join(recipe.trajectories)} none is left to train on"
            + (f": {taken}; loosen that filter, or make more trajectories" if taken else "; make some first")
        )
    return Trajectories([TrajectoryRef(trajectory, scenes[folder]) for trajectory, folder in kept], checkpoint), dict(
        counts
    )


class EpisodeSftTrainer(SFTTrainer):
    """SFTTrainer on our tokens, which says which trajectories were in a batch whose loss is not a number."""

    def __init__(self, data: Trajectories, checkpoint: Checkpoint, recipe: SftRecipe, out: Path) -> None:
        self._guard = FiniteGuard(out)
        super().__init__(
            model=checkpoint.model,
            train_dataset=Dataset.from_dict({"number": range(len(data))}),
            data_collator=data.batch,
            processing_class=load_tokenizer(recipe.checkpoint),
            peft_config=lora_config(recipe.lora),
            callbacks=[self._guard],
            args=SFTConfig(
                **trainer_arguments(recipe.optimisation, out, recipe.batch),
                num_train_epochs=recipe.epochs,
                dataloader_num_workers=recipe.optimisation.workers,
                dataloader_drop_last=False,
                max_length=None,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
        )

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Compute the loss as SFTTrainer does.

        Raises:
            TrainingStopped: The loss is not a finite number.
        """
        batch = {name: value for name, value in inputs.items() if name != "names"}
        answer = super().compute_loss(model, batch, return_outputs, num_items_in_batch)
        self._guard.check_loss(answer[0] if return_outputs else answer, inputs["names"], self.state.global_step)
        return answer


def train(recipe: SftRecipe, out: Path, *, resume: bool = False) -> Path:
    """Train; blocks for as long as that takes, with progress on stderr.

    Returns:
        The folder of the result: an adapter, or a checkpoint.

    Raises:
        FileExistsError: The folder holds another run.
        FileNotFoundError, ValueError: Data that is missing, damaged or filtered away.
        RunFailed: The checkpoint, or the segmenter of held-out episodes, can't be loaded.
        TrainingStopped: The loss became something that is not a finite number, or no held-out episode can be run.
    """
    last = run_folder.begin(out, recipe, resume=resume)
    checkpoint = load_policy_model(recipe)
    data, counts = select(recipe, checkpoint)
    trained = data.trained
    trainer = EpisodeSftTrainer(data, checkpoint, recipe, out)
    if trainer.is_world_process_zero():
        write_format(out, trained)
        run_folder.write_json(out / run_folder.DATA, {"trajectories": counts, "folders": list(recipe.trajectories)})
        sys.stderr.write(f"{len(data)} trajectories of {counts['read']}; {counts}\n")
    if recipe.held_out is not None:
        segmenter = load_segmenter(episodes_recipe(recipe))
        trainer.add_callback(HeldOutEvaluation(trainer, replace(checkpoint, trained=trained), recipe, segmenter, out))
    trainer.train(resume_from_checkpoint=None if last is None else str(last))
    final = out / run_folder.FINAL
    save_result(trainer, recipe, final)
    return final


if __name__ == "__main__":
    sys.exit(main_of(SftRecipe, train))
