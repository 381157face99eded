"""The order in which scenes are practised on."""

from __future__ import annotations

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from rsagent_training.trainer.epoch_sampler import EpochSampler


def order(epoch: int, *epochs_before: int, seed: int = 3) -> list[int]:
    sampler = EpochSampler(range(6), mini_repeat_count=2, batch_size=3, repeat_count=2, seed=seed)
    for before in epochs_before:
        sampler.set_epoch(before)
        list(sampler)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_each_scene_comes_in_a_group_and_each_step_again() -> None:
    drawn = order(0)
    steps = [drawn[begin : begin + 6] for begin in range(0, len(drawn), 6)]
    assert [steps[0], steps[2]] == [steps[1], steps[3]]
    assert all(step[::2] == step[1::2] for step in steps)
    assert sorted(steps[0][::2] + steps[2][::2]) == [*range(6)]


def test_the_order_of_an_epoch_depends_on_its_number_alone() -> None:
    assert order(1) == order(1, 0)
    assert order(1) != order(0)
    assert order(1) != order(1, seed=4)
