"""Our episode in TRL's own loop: pictures of tools, the same rewards, the same tokens, loss on what was sampled."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import torch
from fakes import FakePolicy, FakeSegmenter
from image_processor import image_processor
from local_cases import tiny_checkpoint, tiny_folder
from peft import LoraConfig
from training_cases import RIGHT, SIDE, UNREADABLE, WRONG, ZOOM, episode, finish, scene
from trl import GRPOConfig, GRPOTrainer

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.family import FAMILIES, QWEN2_5_VL, Family
from rsagent_training.environments.episode_environment import EpisodeEnvironment
from rsagent_training.environments.trl_adapter import TrlEnvironment, prompts, with_tools
from rsagent_training.rewards import episode_reward
from rsagent_training.trainer.token_sequence import sequence_of

TURNS, LONGEST = 4, 2000
PLAYS = ([WRONG, RIGHT, finish(2)], [RIGHT, finish(1)], [UNREADABLE, ZOOM, finish(1), RIGHT], [WRONG, finish(1)])
"""Of each row: corrected, right at once, out of turns after bad replies and a look from near, wrong."""


class Scripted(GRPOTrainer):
    """TRL's trainer, but for what is sampled; it keeps the batch and the rewards."""

    said: list[list[list[int]]]

    def _generate_single_turn(self, prompt_ids: Any, *given: Any, **named: Any) -> Any:
        """The next reply of each row; rows are told apart by what they have read so far."""
        if not hasattr(self, "read"):
            self.read = [[*ids] for ids in prompt_ids]
            self.left = [[*replies] for replies in self.said]
        replies = []
        taken: set[int] = set()
        for ids in prompt_ids:
            row = next(
                number
                for number, read in enumerate(self.read)
                if number not in taken and [*ids][: len(read)] == read and self.left[number]
            )
            taken.add(row)
            replies.append(self.left[row].pop(0))
            self.read[row] = [*ids, *replies[-1]]
        return replies, None

    def _calculate_rewards(self, inputs: Any, *given: Any) -> Any:
        rewards = super()._calculate_rewards(inputs, *given)
        self.rewards = rewards[:, 0].tolist()
        self.rows = [row["scene"] for row in inputs]
        return rewards

    def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
        self.batch = inputs
        return super().compute_loss(model, inputs, *given, **named)


def trainer(family: Family, kind: type[Any], out: Path, **changes: Any) -> Any:
    """A trainer of one step of two groups of two."""
    segmenter, pictures = FakeSegmenter(), family.pictures(SIDE)
    scenes = {one.id: one for one in (scene(0), scene(1))}
    arguments: dict[str, Any] = {
        "output_dir": str(out), "per_device_train_batch_size": 4, "num_generations": 2, "max_steps": 1,
        "max_completion_length": LONGEST, "max_tool_calling_iterations": TURNS, "use_cpu": True, "bf16": False,
        "report_to": [], "learning_rate": 1e-2, "save_strategy": "no", "gradient_checkpointing": False, "beta": 0.0,
        "remove_unused_columns": False, "logging_steps": 1,
    }  # fmt: skip
    return kind(
        model=copy.deepcopy(tiny_checkpoint(family).model),
        processing_class=with_tools(image_processor(family, tiny_folder(family))),
        train_dataset=prompts(scenes, pictures, segmenter),
        environment_factory=lambda: TrlEnvironment(
            EpisodeEnvironment(segmenter, pictures, max_turns=TURNS), scenes, arguments["max_completion_length"]
        ),
        peft_config=LoraConfig(r=4, target_modules=r".*language_model.*\.(q_proj|v_proj)"),
        args=GRPOConfig(**arguments | changes),
    )


def ours(family: Family, about: Example, replies: list[list[int]]) -> Trace:
    """The episode with these sampled ids as our own loop plays it."""
    vocabulary = tiny_checkpoint(family).vocabulary
    running = episode(about, family.pictures(SIDE), max_turns=TURNS)
    drive(running, FakePolicy([vocabulary.decode_reply(ids) for ids in replies]))
    turns = zip(running.trace.turns, replies, strict=True)
    from dataclasses import replace

    return replace(running.trace, turns=tuple(replace(turn, token_ids=tuple(ids)) for turn, ids in turns))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_same_replies_have_the_same_rewards_tokens_and_mask(tmp_path: Path, family: Family) -> None:
    vocabulary = tiny_checkpoint(family).vocabulary
    said = [[[*vocabulary.encode(reply), vocabulary.message_end] for reply in replies] for replies in PLAYS]
    playing = trainer(family, Scripted, tmp_path)
    playing.said = said
    playing.train()

    traces = [ours(family, scene(int(name[-1])), replies) for name, replies in zip(playing.rows, said, strict=True)]
    scenes = [scene(int(name[-1])) for name in playing.rows]
    wanted = [episode_reward(trace, about).total for trace, about in zip(traces, scenes, strict=True)]
    assert playing.rewards == pytest.approx(wanted, abs=1e-6)
    assert len({round(reward, 3) for reward in wanted}) >= 3

    batch = playing.batch
    left = {tuple(token for reply in replies for token in reply): number for number, replies in enumerate(said)}
    images = 0
    for row in range(4):
        completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
        prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
        sampled = batch["tool_mask"][row].bool() & batch["completion_mask"][row].bool()
        number = left.pop(tuple(batch["completion_ids"][row][sampled].tolist()))
        sequence = sequence_of(traces[number], scenes[number].image, tiny_checkpoint(family), sampled=True)
        assert [*prompt.tolist(), *completion.tolist()] == sequence.layout.ids
        images += len(sequence.layout.pictures)
    assert left == {}
    assert len(batch["image_grid_thw"]) == images > 4 + 4  # those of tools, too
    weights = {name: weight for name, weight in playing.model.named_parameters() if "lora_B" in name}
    assert any(weight.any() for weight in weights.values())


def test_the_pictures_that_trl_trains_on_are_ours(tmp_path: Path) -> None:
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    playing = trainer(QWEN2_5_VL, Scripted, tmp_path)
    playing.said = [[[*vocabulary.encode(reply), vocabulary.message_end] for reply in PLAYS[1]]] * 4
    playing.train()
    trace = ours(QWEN2_5_VL, scene(int(playing.rows[0][-1])), playing.said[0])
    sequence = sequence_of(trace, scene(int(playing.rows[0][-1])).image, tiny_checkpoint(QWEN2_5_VL), sampled=True)
    patches = tiny_checkpoint(QWEN2_5_VL).patches
    cut = torch.cat([patches.cut(one.pixels, torch.device("cpu"), torch.float32) for one in sequence.layout.pictures])
    theirs = playing.batch["pixel_values"]
    assert any(torch.allclose(theirs[start : start + len(cut)], cut, atol=1e-4) for start in range(0, len(theirs), 24))


def test_what_a_random_model_says_is_played_to_the_end(tmp_path: Path) -> None:
    playing = trainer(
        QWEN2_5_VL, GRPOTrainer, tmp_path, max_completion_length=400, generation_kwargs={"max_new_tokens": 12}
    )
    playing.train()
    (row,) = [row for row in playing.state.log_history if "loss" in row]
    assert row["rewards/TrlEnvironment/mean"] == pytest.approx(row["reward"])
    assert row["reward"] < 0.2  # nonsense
    assert row["tools/failure_frequency"] == 0
