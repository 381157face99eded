"""Intervals: the bootstrap against a plain one that resamples rows, Wilson against SciPy, and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import scored
from scipy import stats

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.intervals import intervals, paired, wilson
from rsagent_ros.scoring.metrics import RATIOS, values
from rsagent_ros.scoring.score import Score


def many(seed: int, count: int = 40, gain: float = 0.0) -> list[Score]:
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        overlap = float(np.clip(random.uniform(0, 0.9) + gain, 0, 1))
        union = int(random.integers(100, 4000))
        rows.append(scored(f"s{number}", number, iou=overlap, union=union, intersection=round(overlap * union)))
    return rows


def test_agrees_with_resampling_the_rows_themselves() -> None:
    rows = many(1)
    ours = intervals(rows, seed=7, resamples=600)
    random = np.random.default_rng(7)
    drawn = [random.integers(0, len(rows), (min(250, 600 - start), len(rows))) for start in range(0, 600, 250)]
    plain = [values([rows[index] for index in draw]) for chunk in drawn for draw in chunk]
    for name in ("giou", "ciou", "value", "turns"):
        low, high = np.percentile([value[name] for value in plain], [2.5, 97.5])
        assert (ours[name].low, ours[name].high) == (pytest.approx(low), pytest.approx(high)), name
        assert ours[name].value == pytest.approx(values(rows)[name])


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    rows = many(2, 400)
    overlaps = np.array([one.iou for one in rows])
    interval = intervals(rows, seed=0)["giou"]
    margin = 1.96 * overlaps.std(ddof=1) / 20
    assert interval.low == pytest.approx(overlaps.mean() - margin, abs=0.003)
    assert interval.high == pytest.approx(overlaps.mean() + margin, abs=0.003)


def test_paired_differences_cancel_what_makes_a_sample_hard() -> None:
    a, b = many(3, 100), many(3, 100, gain=0.05)
    difference = paired(a, b, seed=0)["giou"]
    assert difference.clear
    assert difference.value == pytest.approx(0.05, abs=1e-9)
    assert difference.low == pytest.approx(0.05, abs=1e-9)
    alone = intervals(a, seed=0)["giou"]
    assert alone.low is not None
    assert alone.high is not None
    assert alone.high - alone.low > 0.05  # two intervals side by side would not have told them apart


def test_a_run_does_not_differ_from_itself() -> None:
    rows = many(4)
    for name, interval in paired(rows, rows, seed=0, resamples=300).items():
        assert not interval.clear
        if values(rows)[name] is not None:
            assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_a_seed_gives_the_same_intervals_again() -> None:
    rows = many(5)
    assert intervals(rows, 1, 300) == intervals(rows, 1, 300)
    assert intervals(rows, 1, 300) != intervals(rows, 2, 300)


def test_what_no_sample_counts_for_has_no_interval() -> None:
    rows = many(6)
    interval = intervals(rows, 0, 300)["n_acc_strict"]
    assert (interval.value, interval.low, interval.high, interval.over) == (None, None, None, 0)
    assert set(intervals([], 0, 10)) == set(RATIOS)


@pytest.mark.parametrize("count", [1, 2])
def test_one_sample_has_a_value_and_no_interval(count: int) -> None:
    absent = [
        scored(f"absent{number}", number, expected=Outcome.NOT_IN_VIEW, outcome=Outcome.NOT_IN_VIEW, masked=False)
        for number in range(count)
    ]
    for mixed in (absent, [*many(6), *absent]):
        interval = intervals(mixed, 0, 300)["n_acc_strict"]
        assert interval.value == 1
        assert (interval.low is None) == (interval.high is None) == (count == 1)
        assert (paired(mixed, mixed, 0, 300)["n_acc_strict"].low is None) == (count == 1)
    assert (intervals(absent, 0, 300)["giou"].low is None) == (count == 1)


def test_rates_have_wilson_intervals() -> None:
    rows = [scored(f"s{number}", number, iou=float(number > 0)) for number in range(8)]
    interval = intervals(rows, 0, 300)["p50"]
    expected = stats.binomtest(7, 8).proportion_ci(0.95, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    every = intervals(rows[1:], 0, 300)["p50"]
    assert every.low is not None
    assert every.low < 0.7  # seven of seven do not make it sure
    assert every.high == 1


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 12), (12, 12), (3, 1000), (500, 1000)])
def test_wilson_agrees_with_scipy(hits: int, count: int) -> None:
    expected = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="same examples"):
        paired(many(1), many(1)[::-1], seed=0)
