"""Credit: the turn that earned it gets it, equal episodes get nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_training.rewards import Reward, RewardConfig, credit


def reward(final: float, process: tuple[float, ...], shape: float = 1.0) -> Reward:
    return Reward(final, process, shape, 0.0)


def test_one_group_by_hand() -> None:
    """Two episodes: R_final 1 and 0, process 0.9 in the second turn of the first."""
    advantages = credit([reward(1.0, (0.0, 0.9)), reward(0.0, (0.0, 0.0))])
    half = 1 / np.sqrt(2)  # of two values, each is half their difference away from the mean; the deviation is 1/sqrt 2
    whole = 0.5 / (half + 1e-4)
    own = 0.45 / (0.9 * half + 1e-4)
    assert advantages[0] == pytest.approx((whole + 0.5 * own, whole + 0.5 * own))
    assert advantages[1] == pytest.approx((-whole - 0.5 * own, -whole - 0.5 * own))


def test_what_came_before_a_turn_is_not_its_credit() -> None:
    early, late = credit([reward(0.5, (0.9, 0.0, -0.4)), reward(0.5, (0.1, 0.0, 0.4))])
    assert early[0] == late[0] == pytest.approx(0.0, abs=1e-9)  # the sums from the first turn on are equal
    assert early[1] < 0 < late[1]
    assert early[2] < 0 < late[2]


def test_equal_episodes_give_no_advantage_whatever_their_turns_earned() -> None:
    group = [reward(0.8, (0.5, 0.3, -0.02, 0.0))] * 4
    assert credit(group) == [pytest.approx((0.0,) * 4)] * 4


def test_process_is_not_in_the_scalar_too() -> None:
    config = RewardConfig(process_weight=0.0)
    advantages = credit([reward(0.5, (0.9, 0.0)), reward(0.5, (0.1,))], config)
    assert advantages == [(0.0, 0.0), (0.0,)]


def test_an_episode_that_has_ended_counts_as_earning_nothing_more() -> None:
    longer, shorter = credit([reward(0.0, (0.5, 0.3, 0.1), 0.0), reward(0.0, (0.9,), 0.0)])
    assert longer[0] == pytest.approx(0.0, abs=1e-9)
    assert longer[1] > 0
    assert len(shorter) == 1


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="a group of 1 episodes has nothing to compare with"):
        credit([reward(1.0, (1.0,))])


turns = st.lists(st.floats(-1, 1), min_size=1, max_size=8).map(tuple)
rewards = st.builds(reward, st.floats(0, 1), turns, st.floats(0, 1))


@given(st.lists(rewards, min_size=2, max_size=6))
def test_advantages_are_bounded_and_of_each_turn(group: list[Reward]) -> None:
    advantages = credit(group)
    assert [len(one) for one in advantages] == [len(one.process) for one in group]
    # A value is at most (n - 1) / sqrt(n) standard deviations away from the mean of n.
    limit = 1.5 * (len(group) - 1) / np.sqrt(len(group)) + 1e-9
    assert all(abs(value) <= limit for one in advantages for value in one)
    assert sum(one[0] for one in advantages) == pytest.approx(0.0, abs=1e-6)
