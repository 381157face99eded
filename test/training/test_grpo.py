"""GRPO on our episodes: the loss, its gradients, whose tokens count, and what happens when something goes wrong."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

import torch
from fakes import FakeSegmenter
from grpo_reference import chances, grpo_loss
from local_cases import tiny_checkpoint
from scripted_rollouts import Scripted
from training_cases import (
    SIDE,
    episode,
    grpo_recipe,
    scene,
    write_scenes,
)
from transformers import TrainerCallback

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.family import FAMILIES, QWEN2_5_VL, Family
from rsagent_training import grpo
from rsagent_training.grpo import EpisodeTrainer
from rsagent_training.rewards import episode_reward
from rsagent_training.rollouts.episodes import seeds_of
from rsagent_training.rollouts.local import LocalRollouts
from rsagent_training.trainer.mix import Mix
from rsagent_training.trainer.policy_model import load_policy_model
from rsagent_training.trainer.run_folder import TrainingStopped
from rsagent_training.trainer.token_sequence import sequence_of

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@dataclass
class Step:
    """What one optimizer step was computed from, and what came of it."""

    batch: dict[str, Any]
    weights: dict[str, torch.Tensor]
    loss: float
    gradients: dict[str, torch.Tensor]


class Watched(EpisodeTrainer):
    """A trainer that keeps its steps."""

    steps: list[Step]

    def compute_loss(self, model: Any, inputs: dict[str, Any], *given: Any, **named: Any) -> torch.Tensor:
        loss = super().compute_loss(model, inputs, *given, **named)
        weights = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
        self.steps.append(Step(dict(inputs), weights, loss.item(), {}))
        return loss


class Gradients(TrainerCallback):
    """Keeps the gradients of each step."""

    def __init__(self, trainer: Watched) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(self, *given: Any, **named: Any) -> None:
        found = named["model"].named_parameters()
        self.trainer.steps[-1].gradients = {name: w.grad.clone() for name, w in found if w.grad is not None}


def trainer_for(folder: Path, family: Family = QWEN2_5_VL, rollouts: Any = None, **changes: Any) -> Watched:
    """A trainer that has not begun, with as many episodes at once as there are."""
    scenes = folder / "scenes"
    if not scenes.exists():
        write_scenes(scenes)
    optimisation = {"device_batch": 4, "save_every": 100, "max_grad_norm": 1e9} | changes.pop("optimisation", {})
    recipe = grpo_recipe(scenes, family, optimisation=optimisation, **changes)
    learner, mix = load_policy_model(recipe), Mix(recipe.mix, 0)
    trainer = Watched(learner, mix, rollouts or Scripted(family), recipe, folder / "out")
    trainer.steps = []
    trainer.add_callback(Gradients(trainer))
    return trainer


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in json.loads((out / "curve.json").read_bytes()) if "loss" in row]


def model_with(weights: dict[str, torch.Tensor], family: Family) -> Any:
    """A model of these weights that TRL has not touched: it puts a forward pass of its own into those it trains."""
    plain = copy.deepcopy(tiny_checkpoint(family).model)
    plain.load_state_dict(weights)
    return plain.requires_grad_(True)


def shaken(model: Any, much: float) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += much * torch.randn(weight.shape, generator=generator)


def sampled(trace: Trace) -> tuple[int, ...]:
    """All tokens that the policy sampled in an episode."""
    return tuple(chain.from_iterable(turn.token_ids or () for turn in trace.turns))


def advantages_of(traces: Sequence[Trace], scenes: Sequence[Example], samples: int = 2) -> list[list[float]]:
    """Advantage of each turn, by the formula of docs/rewards.md."""
    rewards = [episode_reward(trace, about) for trace, about in zip(traces, scenes, strict=True)]
    advantages: list[list[float]] = []
    for begin in range(0, len(rewards), samples):
        group = rewards[begin : begin + samples]
        totals = torch.tensor([reward.total for reward in group], dtype=torch.float64)
        levels = (totals - totals.mean()) / totals.std().clamp(min=0.1)
        advantages += [
            [float(level)] * len(reward.process) for level, reward in zip(levels.tolist(), group, strict=True)
        ]
    return advantages


@pytest.mark.parametrize(
    ("family", "loss_type", "above"),
    [(family, "grpo", None) for family in FAMILIES] + [(QWEN2_5_VL, "dapo", 0.28), (QWEN2_5_VL, "dr_grpo", None)],
)
def test_loss_and_gradients_are_those_of_sixty_lines_of_plain_torch(
    tmp_path: Path, family: Family, loss_type: str, above: float | None
) -> None:
    """Two steps on the same episodes: in the second the policy has moved, so that clipping and KL are at work."""
    rollouts = Scripted(family)
    trainer = trainer_for(
        tmp_path, family, rollouts, lora=None, freeze_vision=False, steps=2, iterations=2, beta=0.3,
        loss_type=loss_type, epsilon_high=above, optimisation={"learning_rate": 5e-3},
    )  # fmt: skip
    checkpoint = tiny_checkpoint(family)
    shaken(trainer.model, 0.01)  # away from the reference
    trainer.train()
    ((scenes, traces),) = rollouts.steps
    first, second = trainer.steps
    assert 0.01 < trainer.state.log_history[1]["clip_ratio/region_mean"] < 0.9

    episodes = [
        sequence_of(trace, about.image, checkpoint, sampled=True) for trace, about in zip(traces, scenes, strict=True)
    ]
    advantages = advantages_of(traces, scenes)
    old, again = model_with(first.weights, family), model_with(second.weights, family)
    wanted = grpo_loss(
        again, old, checkpoint.model, checkpoint, episodes, advantages,
        epsilon=0.2, epsilon_high=above, beta=0.3, loss_type=loss_type, longest=2 * 12,
    )  # fmt: skip
    wanted.backward()
    assert any(abs(advantage) > 0.1 for of_turns in advantages for advantage in of_turns)
    assert second.loss == pytest.approx(wanted.item(), abs=1e-5, rel=1e-4)
    theirs = {name: weight.grad for name, weight in again.named_parameters() if weight.grad is not None}
    scale = max(float(gradient.abs().max()) for gradient in theirs.values())
    assert scale > 1e-4
    for name, gradient in theirs.items():
        torch.testing.assert_close(second.gradients[name], gradient, atol=1e-3 * scale, rtol=1e-2, msg=name)


@EACH_FAMILY
def test_the_trainer_scores_what_the_policy_sampled_as_the_policy_did(tmp_path: Path, family: Family) -> None:
    recipe = grpo_recipe(write_scenes(tmp_path / "scenes"), family)
    local = LocalRollouts(load_policy_model(recipe), recipe, FakeSegmenter())
    kept: list[Trace] = []

    class Keeping:
        def run(self, *given: Any) -> list[Trace]:
            kept.extend(local.run(*given))
            return kept

    trainer = trainer_for(tmp_path, family, Keeping(), steps=2, iterations=2)
    trainer.train()
    batch = trainer.steps[0].batch
    recorded = {sampled(trace): [chance for turn in trace.turns for chance in turn.logprobs or ()] for trace in kept}
    for ids, logps, mask in zip(
        batch["completion_ids"], batch["old_per_token_logps"], batch["tool_mask"].bool(), strict=True
    ):
        chances_of = torch.tensor(recorded[tuple(ids[mask].tolist())])
        torch.testing.assert_close(logps[mask], chances_of, atol=2e-4, rtol=0)


def test_only_sampled_tokens_count_and_each_has_the_advantage_of_its_turn(tmp_path: Path) -> None:
    rollouts = Scripted(QWEN2_5_VL)
    trainer = trainer_for(tmp_path, rollouts=rollouts, steps=1)
    trainer.train()
    ((scenes, traces),) = rollouts.steps
    wanted = {}
    for trace, of_turns in zip(traces, advantages_of(traces, scenes), strict=True):
        pairs = zip(trace.turns, of_turns, strict=True)
        wanted[sampled(trace)] = [level for turn, level in pairs for _ in turn.token_ids or ()]
    batch = trainer.steps[0].batch
    for ids, mask, advantages in zip(
        batch["completion_ids"], batch["tool_mask"].bool(), batch["advantages"], strict=True
    ):
        levels = wanted.pop(tuple(ids[mask].tolist()))
        assert advantages[mask].tolist() == pytest.approx(levels, abs=1e-5)
        assert not advantages[~mask].any()
    assert wanted == {}
    assert sorted(batch["num_images"]) == [2, 2, 3, 3]  # those made by tools too, but not the last, which nobody reads


def test_episodes_are_played_once_for_several_steps_on_them(tmp_path: Path) -> None:
    rollouts = Scripted(QWEN2_5_VL)
    trainer_for(tmp_path, rollouts=rollouts, steps=4, iterations=2).train()
    assert len(rollouts.steps) == 2
    for scenes, _ in rollouts.steps:
        assert [scenes[0], scenes[2]] == [scenes[1], scenes[3]]  # groups follow one another
        assert scenes[0].id != scenes[2].id


def test_a_stale_sample_counts_by_its_truncated_ratio(tmp_path: Path) -> None:
    """The server says of every second token that it was very unlikely, of the others that it was nearly certain."""
    said = (-0.1, -20.0)
    rollouts = Scripted(QWEN2_5_VL, logprobs=lambda place: said[place % 2])
    server = {"model": "served", "max_ratio": 1.2}
    trainer = trainer_for(tmp_path, rollouts=rollouts, steps=1, server=server)
    trainer.train()
    ((scenes, traces),) = rollouts.steps
    plain = {}
    for trace, of_turns in zip(traces, advantages_of(traces, scenes), strict=True):
        pairs = [(turn.logprobs or (), level) for turn, level in zip(trace.turns, of_turns, strict=True)]
        plain[sampled(trace)] = torch.tensor([(level, chance) for chances, level in pairs for chance in chances])
    batch = trainer.steps[0].batch
    columns = (batch[name] for name in ("completion_ids", "tool_mask", "advantages", "old_per_token_logps"))
    for ids, learned, advantages, now in zip(*columns, strict=True):
        mask = learned.bool()
        level, then = plain[tuple(ids[mask].tolist())].T
        ratio = torch.exp(now[mask] - then)
        assert ratio.min() < 1 < 1.2 < ratio.max()
        torch.testing.assert_close(advantages[mask], level * ratio.clamp(max=1.2), atol=1e-5, rtol=1e-4)


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
    # Each group of two: right after one correction, and right at once; or wrong at the end, and out of turns.
    assert curve[0]["episodes/wrong_found"] == curve[0]["episodes/gave_up"] == 0.25
    assert curve[0]["episodes/wrong_absent"] == curve[0]["episodes/asked"] == 0.0
    assert curve[0]["reward/groups_under_floor"] == 0.5


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
        tmp_path / "scenes", steps=8, samples=8, batch=2, lora=None, max_turns=1, max_reply_tokens=8,
        optimisation={"learning_rate": 2e-2, "device_batch": 16, "save_every": 20},
    )  # fmt: skip
    grpo.train(recipe, tmp_path / "out")
    curve = [row["reward/final"] for row in json.loads((tmp_path / "out" / "curve.json").read_bytes()) if "loss" in row]
    assert sum(curve[-3:]) / 3 > sum(curve[:3]) / 3 + 0.2


def test_an_episode_that_could_not_be_run_stops_with_its_scene(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes")
    recipe = grpo_recipe(tmp_path / "scenes", max_tokens=300)  # less than the system prompt takes
    with pytest.raises(TrainingStopped, match=r"the episode on scene scene-00\d failed: .*leaves no room for a reply"):
        grpo.train(recipe, tmp_path / "out")


def test_a_loss_that_is_no_number_stops_before_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reward(trace: Trace, about: Example, config: Any) -> Any:
        return replace(episode_reward(trace, about, config), total=math.nan)

    monkeypatch.setattr(grpo, "episode_reward", reward)
    trainer = trainer_for(tmp_path, lora=None)
    before = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    names = r"scene-00\d, scene-00\d, scene-00\d, scene-00\d"
    with pytest.raises(TrainingStopped, match=rf"the loss of step 1 is not a finite number, on {names}"):
        trainer.train()
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.model.state_dict().items())


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


def test_a_server_is_for_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.Accelerator.num_processes", property(lambda _: 2))
    with pytest.raises(ValueError, match="a server is handed the adapter of one process"):
        trainer_for(tmp_path, server={"model": "served"})


def test_a_mix_that_is_smaller_than_a_step_is_refused(tmp_path: Path) -> None:
    recipe = replace(grpo_recipe(write_scenes(tmp_path / "scenes")), batch=1000)
    with pytest.raises(ValueError, match=r"the mix has \d+ scenes; a step takes 1000: collect more, or lower batch"):
        grpo.train(recipe, tmp_path / "out")
