"""Credit: what did better than its group gets it, trifles and equal episodes get little or nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_training.rewards import Reward, RewardConfig, credit, under_floor

DEFAULTS = RewardConfig()
TURN = RewardConfig(credit="turn")


def reward(final: float, process: tuple[float, ...], shape: float = 1.0) -> Reward:
    return Reward(final, process, shape, final + 0.5 * sum(process) + 0.2 * shape)


def levels(group: list[Reward], config: RewardConfig = DEFAULTS) -> list[float]:
    """The advantage of each episode, which is that of all its turns."""
    advantages = credit(group, config)
    assert all(len({*of_turns}) == 1 for of_turns in advantages)
    return [of_turns[0] for of_turns in advantages]


def test_an_episode_has_one_advantage_from_its_whole_reward() -> None:
    group = [reward(1.0, (0.0, 0.9)), reward(0.0, (0.0, 0.0))]
    half = (1.0 + 0.5 * 0.9) / 2
    deviation = half * np.sqrt(2)
    assert credit(group) == [pytest.approx((half / deviation,) * 2), pytest.approx((-half / deviation,) * 2)]
    undivided = RewardConfig(deviation_floor=None)
    assert credit(group, undivided) == [pytest.approx((half,) * 2), pytest.approx((-half,) * 2)]


def test_equal_episodes_give_no_advantage() -> None:
    group = [reward(0.8, (0.5, 0.3, -0.02, 0.0))] * 4
    for config in (RewardConfig(), TURN, RewardConfig(deviation_floor=None)):
        assert credit(group, config) == [pytest.approx((0.0,) * 4)] * 4


def test_a_trifle_between_right_episodes_stays_one() -> None:
    """One look more, or an IoU of 0.97 instead of 0.95, against what tells a right episode from a wrong one."""
    straight, looked_again = reward(1.0, (0.98, 0.0)), reward(1.0, (0.98, -0.02, 0.0))
    one_look_more = levels([straight] * 7 + [looked_again])
    assert -0.1 < one_look_more[-1] < 0 < one_look_more[0] < 0.02
    ious = np.linspace(0.95, 0.97, 8)
    finer = levels([reward(iou, (iou - 0.02, 0.0)) for iou in ious])
    assert np.ptp(finer) < 0.35
    right_or_not = levels([straight] * 4 + [reward(-0.2, (-0.02, 0.0))] * 4)
    assert np.ptp(right_or_not) > 1.5


def test_groups_whose_deviation_is_under_the_floor_are_known() -> None:
    alike = [reward(1.0, (0.98, 0.0)), reward(1.0, (0.98, -0.02, 0.0))]
    apart = [reward(1.0, (0.98, 0.0)), reward(-0.2, (-0.02, 0.0))]
    assert under_floor(alike)
    assert not under_floor(apart)
    assert not under_floor(alike, RewardConfig(deviation_floor=None))


def test_a_correct_end_is_not_pushed_down_for_its_number() -> None:
    """Per-turn credit compares turn 2 of one way with turn 2 of another; one advantage for all can't."""
    found_at_once, found_late = reward(1.0, (0.98, 0.0)), reward(1.0, (-0.02, 0.98, 0.0))
    assert credit([found_at_once, found_late], TURN)[0][1] < 0
    short, long = levels([found_at_once, found_late])
    assert short > 0 > long


def test_turns_can_have_what_came_after_them() -> None:
    early, late = credit([reward(0.5, (0.9, 0.0, -0.4)), reward(0.5, (0.1, 0.0, 0.4))], TURN)
    assert early[0] == late[0] == pytest.approx(0.0, abs=1e-9)  # the sums from the first turn on are equal
    assert late[1] == pytest.approx(0.5 * 0.4)
    assert early[1:] == pytest.approx([-value for value in late[1:]])


def test_credit_of_turns_has_the_process_reward_once() -> None:
    config = RewardConfig(credit="turn", process_weight=0.0)
    assert credit([reward(0.5, (0.9, 0.0)), reward(0.5, (0.1,))], config) == [(0.0, 0.0), (0.0,)]


def test_an_episode_that_has_ended_counts_as_earning_nothing_more() -> None:
    longer, shorter = credit([reward(0.0, (0.5, 0.3, 0.1), 0.0), reward(0.0, (0.9,), 0.0)], TURN)
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
    limit = (len(group) - 1) / np.sqrt(len(group)) + 1e-9
    assert all(abs(value) <= limit for one in advantages for value in one)
    assert sum(one[0] for one in advantages) == pytest.approx(0.0, abs=1e-6)
    order = sorted(range(len(group)), key=lambda number: group[number].total)
    assert all(advantages[low][0] <= advantages[high][0] for low, high in pairwise(order))
