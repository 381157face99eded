"""GRPO on our episodes: the loss, its gradients, whose tokens count, and what happens when something goes wrong."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import torch
import trl
from fakes import FakePolicy, FakeSegmenter
from grpo_reference import chances, grpo_loss, normalised
from local_cases import tiny_checkpoint
from training_cases import (
    RIGHT,
    SIDE,
    UNREADABLE,
    WRONG,
    episode,
    finish,
    grpo_recipe,
    scene,
    write_scenes,
)

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.family import FAMILIES, QWEN2_5_VL, Family
from rsagent_training import grpo
from rsagent_training.grpo import EpisodeTrainer
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.rewards import episode_reward
from rsagent_training.rollouts.episodes import seeds_of
from rsagent_training.rollouts.local import LocalRollouts
from rsagent_training.trainer.mix import Mix
from rsagent_training.trainer.policy_model import load_policy_model
from rsagent_training.trainer.run_folder import TrainingStopped
from rsagent_training.trainer.token_sequence import sequence_of

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
PLAYS = ([WRONG, RIGHT, finish(2)], [RIGHT, finish(1)], [UNREADABLE, WRONG, finish(1)], [WRONG, WRONG])

TRL_SOURCES = {
    "_compute_loss": "80295546bbdbf6f7",
    "_generate_and_score_completions": "1fa48922792dcd5c",
    "_get_per_token_logps_and_entropies": "ea73c3909275851d",
    "_get_train_sampler": "36497afb4d311dc9",
    "_prepare_inputs": "f824e7fb07147956",
    "compute_loss": "a2d6ef8bd29c3e26",
    "get_train_dataloader": "2bffe5a57c539e17",
    "log": "1e7772819cc8cf09",
    "training_step": "9e18632f7dd8e8d8",
}
"""The first digits of the SHA-256 of each method's source in TRL 1.16.0."""


class Scripted:
    """Rollouts that play scripts, with token ids as if the model had sampled them."""

    def __init__(self, family: Family, plays: Sequence[Sequence[str]] = PLAYS, logprob: float = -0.5) -> None:
        self.family = family
        self.plays = plays
        self.logprob = logprob

    def run(self, model: Any, scenes: Sequence[Example], step: int, seeds: Sequence[int]) -> list[Trace]:
        return [self._play(about, self.plays[number % len(self.plays)]) for number, about in enumerate(scenes)]

    def _play(self, about: Example, replies: Sequence[str]) -> Trace:
        checkpoint = tiny_checkpoint(self.family)
        running = episode(about, checkpoint.family.pictures(SIDE), max_turns=3)
        drive(running, FakePolicy(replies))
        turns = []
        for turn in running.trace.turns:
            ids = tuple(checkpoint.vocabulary.encode(turn.reply))
            turns.append(replace(turn, token_ids=ids, logprobs=(self.logprob,) * len(ids)))
        return replace(running.trace, turns=tuple(turns))


def trainer_for(
    folder: Path, family: Family = QWEN2_5_VL, rollouts: Any = None, **changes: Any
) -> tuple[EpisodeTrainer, GrpoRecipe]:
    """A trainer that has not begun, with as many episodes at once as there are."""
    scenes = folder / "scenes"
    if not scenes.exists():
        write_scenes(scenes)
    recipe = grpo_recipe(scenes, family, **{"optimisation": {"device_batch": 4, "save_every": 2}, **changes})
    trainer = EpisodeTrainer(
        load_policy_model(recipe), Mix(recipe.mix, 0), rollouts or Scripted(family), recipe, folder / "out"
    )
    trainer.current_gradient_accumulation_steps = 1
    return trainer, recipe


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in json.loads((out / "curve.json").read_bytes()) if "loss" in row]


def copied(model: Any, family: Family) -> Any:
    """A model of the same weights that TRL has not touched: it puts a forward pass of its own into those it trains."""
    plain = copy.deepcopy(tiny_checkpoint(family).model)
    plain.load_state_dict(model.state_dict())
    return plain.requires_grad_(True)


def shaken(model: Any, much: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += much * torch.randn(weight.shape, generator=generator)


@EACH_FAMILY
def test_loss_and_gradients_are_those_of_sixty_lines_of_plain_torch(tmp_path: Path, family: Family) -> None:
    trainer, recipe = trainer_for(tmp_path, family, lora=None, freeze_vision=False, iterations=2, beta=0.3)
    checkpoint = tiny_checkpoint(family)
    model: Any = trainer.model
    reference = copy.deepcopy(checkpoint.model)
    shaken(model, 0.01, seed=1)
    old = copied(model, family)
    rows = [{"number": number} for number in (0, 0, 1, 1)]
    batch = trainer._generate_and_score_completions(rows)
    shaken(model, 0.005, seed=2)
    loss = trainer.compute_loss(model, batch)
    loss.backward()

    mix = Mix(recipe.mix, 0)
    scenes = [mix[row["number"]] for row in rows]
    traces = Scripted(family).run(None, scenes, 0, [])
    episodes = [
        sequence_of(trace, about.image, checkpoint, sampled=True) for trace, about in zip(traces, scenes, strict=True)
    ]
    rewards = [episode_reward(trace, about) for trace, about in zip(traces, scenes, strict=True)]
    advantages: list[list[float]] = []
    for group in (rewards[:2], rewards[2:]):
        whole = normalised([reward.final + 0.2 * reward.format for reward in group])
        own = [
            normalised([sum(reward.process[turn:]) for reward in group])
            for turn in range(max(len(reward.process) for reward in group))
        ]
        for place, reward in enumerate(group):
            advantages.append([float(whole[place] + 0.5 * own[turn][place]) for turn in range(len(reward.process))])
    again = copied(model, family)
    wanted = grpo_loss(again, old, reference, checkpoint, episodes, advantages, epsilon=0.2, beta=0.3)
    wanted.backward()
    assert any(abs(advantage) > 0.1 for of_turns in advantages for advantage in of_turns)
    torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=1e-4)
    theirs = dict(again.named_parameters())
    scale = max(float(weight.grad.abs().max()) for weight in theirs.values() if weight.grad is not None)
    assert scale > 1e-3
    for name, weight in model.named_parameters():
        if theirs[name].grad is not None:
            torch.testing.assert_close(weight.grad, theirs[name].grad, atol=1e-3 * scale, rtol=1e-2, msg=name)


def test_clipping_was_at_work_in_that_batch(tmp_path: Path) -> None:
    """Else the comparison above would say nothing about it."""
    trainer, _ = trainer_for(tmp_path, lora=None, freeze_vision=False, iterations=2)
    batch = trainer._generate_and_score_completions([{"number": number} for number in (0, 0, 1, 1)])
    shaken(trainer.model, 0.005, seed=2)
    trainer.compute_loss(trainer.model, batch)
    (clipped,) = trainer._metrics["train"]["clip_ratio/region_mean"]
    assert 0.01 < clipped < 0.9


@EACH_FAMILY
def test_the_trainer_scores_what_the_policy_sampled_as_the_policy_did(tmp_path: Path, family: Family) -> None:
    write_scenes(tmp_path / "scenes")
    recipe = grpo_recipe(tmp_path / "scenes", family, optimisation={"device_batch": 4, "save_every": 2})
    checkpoint = load_policy_model(recipe)
    local = LocalRollouts(checkpoint, recipe, FakeSegmenter())
    kept: list[Trace] = []

    class Keeping:
        def run(self, *given: Any) -> list[Trace]:
            kept.extend(local.run(*given))
            return kept

    trainer = EpisodeTrainer(checkpoint, Mix(recipe.mix, 0), Keeping(), recipe, tmp_path / "out")
    batch = trainer._generate_and_score_completions([{"number": number} for number in (0, 0, 1, 1)])
    with torch.no_grad():
        logps = trainer._logps(trainer.model, batch)
    for row, trace in enumerate(kept):
        recorded = torch.tensor([chance for turn in trace.turns for chance in turn.logprobs or ()])
        torch.testing.assert_close(logps[row][batch["tool_mask"][row].bool()], recorded, atol=2e-4, rtol=0)


def test_only_sampled_tokens_count_and_each_has_the_advantage_of_its_turn(tmp_path: Path) -> None:
    trainer, _ = trainer_for(tmp_path)
    batch = trainer._generate_and_score_completions([{"number": number} for number in (0, 0, 1, 1)])
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    played = ["".join(replies) for replies in (*PLAYS[:3], [WRONG] * 3)]
    for row, replies in enumerate(PLAYS):
        counted = batch["tool_mask"][row].bool()
        assert vocabulary.decode(batch["completion_ids"][row][counted].tolist()) == played[row]
        assert not batch["advantages"][row][~counted].any()
        levels = batch["advantages"][row][counted].tolist()
        assert len(dict.fromkeys(levels)) <= len(replies)
    first, second = batch["advantages"][0], batch["advantages"][1]
    assert first[batch["tool_mask"][0].bool()][0] != second[batch["tool_mask"][1].bool()][0]
    assert batch["num_images"] == [3, 2, 2, 3]  # those made by tools too, but not the last, which nobody reads


def test_a_small_run_changes_the_adapter_and_leaves_the_rest(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes")
    recipe = grpo_recipe(tmp_path / "scenes", beta=0.1, optimisation={"device_batch": 2, "save_every": 1})
    final = grpo.train(recipe, tmp_path / "out", rollouts=Scripted(QWEN2_5_VL))
    from safetensors.torch import load_file

    weights = load_file(final / "adapter_model.safetensors")
    assert all(("lora_A" in name or "lora_B" in name) and "visual" not in name for name in weights)
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)
    curve = json.loads((tmp_path / "out" / "curve.json").read_bytes())
    assert {"reward", "reward/final", "reward/process", "reward/format", "kl", "episodes/turns"} <= set(curve[0])
    assert curve[1]["kl"] > 0


def test_a_reward_for_a_word_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real sampling, a reward that anyone can raise: the share of some tokens must rise."""
    write_scenes(tmp_path / "scenes", 2)
    wanted = set(range(200))

    def reward(trace: Trace, about: Example, config: Any) -> Any:
        said = [number for turn in trace.turns for number in turn.token_ids or ()]
        share = sum(number in wanted for number in said) / len(said)
        plain = episode_reward(trace, about)
        return replace(plain, final=share, process=(0.0,) * len(plain.process), format=0.0, total=share)

    monkeypatch.setattr(grpo, "episode_reward", reward)
    recipe = grpo_recipe(
        tmp_path / "scenes", steps=10, samples=8, batch=2, lora=None, max_turns=1, max_reply_tokens=8,
        optimisation={"learning_rate": 1e-2, "device_batch": 16, "save_every": 20},
    )  # fmt: skip
    grpo.train(recipe, tmp_path / "out")
    curve = [row["reward/final"] for row in json.loads((tmp_path / "out" / "curve.json").read_bytes()) if "loss" in row]
    assert sum(curve[-3:]) / 3 > sum(curve[:3]) / 3 + 0.2


def test_an_episode_that_could_not_be_run_stops_with_its_scene(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes")
    recipe = grpo_recipe(tmp_path / "scenes", max_tokens=300)  # less than the system prompt takes
    with pytest.raises(TrainingStopped, match=r"the episode on scene scene-00\d failed: .*leaves no room for a reply"):
        grpo.train(recipe, tmp_path / "out")


def test_a_loss_that_is_no_number_stops_before_the_weights(tmp_path: Path) -> None:
    trainer, _ = trainer_for(tmp_path, lora=None)
    batch = trainer._generate_and_score_completions([{"number": number} for number in (0, 0, 1, 1)])
    batch["advantages"][2] = torch.nan
    with pytest.raises(TrainingStopped, match=r"the loss of step 1 is not a finite number, on scene-000, scene-000, "):
        trainer.compute_loss(trainer.model, batch)


def test_groups_that_devices_would_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a step has 4 sequences, which 1 devices with device_batch 3"):
        trainer_for(tmp_path, optimisation={"device_batch": 3})


def test_seeds_differ_by_step_row_and_process_and_come_again() -> None:
    seen = {seed for step in range(5) for process in range(2) for seed in seeds_of(0, step, process, 8)}
    assert len(seen) == 80
    assert seeds_of(0, 3, 0, 8) == seeds_of(0, 3, 0, 8)
    assert seeds_of(1, 3, 0, 8) != seeds_of(0, 3, 0, 8)


def test_the_reference_sees_what_the_policy_sees() -> None:
    """The reference's own footing: its log-probabilities are those that were recorded while sampling."""
    from local_cases import tiny_policy

    policy = tiny_policy(QWEN2_5_VL, temperature=1.0, side=SIDE)
    running = episode(scene(3), policy.pictures, max_turns=3, max_reply_tokens=15)
    drive(running, policy)
    one = sequence_of(running.trace, scene(3).image, policy.checkpoint, sampled=True)
    with torch.no_grad():
        computed = chances(policy.checkpoint.model, policy.checkpoint, one)[torch.from_numpy(one.loss_mask)]
    recorded = [chance for turn in running.trace.turns for chance in turn.logprobs or ()]
    torch.testing.assert_close(computed, torch.tensor(recorded), atol=2e-4, rtol=0)


def test_trl_is_the_one_that_this_stands_on() -> None:
    """Fails whenever TRL's private parts change: read what changed, adapt `grpo`, then write down the new sums."""
    changed = {
        name: hashlib.sha256(inspect.getsource(getattr(trl.GRPOTrainer, name)).encode()).hexdigest()[:16]
        for name in grpo.LEANS_ON
    }
    assert trl.__version__.startswith("1.16.")
    assert changed == TRL_SOURCES


def test_a_server_is_for_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.Accelerator.num_processes", property(lambda _: 2))
    with pytest.raises(ValueError, match="a server is handed the adapter of one process"):
        trainer_for(tmp_path, server={"model": "served"})


def test_a_mix_that_is_smaller_than_a_step_is_refused(tmp_path: Path) -> None:
    recipe = replace(grpo_recipe(write_scenes(tmp_path / "scenes")), batch=1000)
    with pytest.raises(ValueError, match=r"the mix has \d+ scenes; a step takes 1000: collect more, or lower batch"):
        grpo.train(recipe, tmp_path / "out")
