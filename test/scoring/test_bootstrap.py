"""The bootstrap against a plain one that resamples rows, and on cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import row

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.bootstrap import intervals, paired
from rsagent_ros.scoring.metrics import RATIOS, values
from rsagent_ros.scoring.score import Row


def many(seed: int, count: int = 40, gain: float = 0.0) -> list[Row]:
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        overlap = float(np.clip(random.uniform(0, 0.9) + gain, 0, 1))
        union = int(random.integers(100, 4000))
        rows.append(row(f"s{number}", number, iou=overlap, union=union, intersection=round(overlap * union)))
    return rows


def test_agrees_with_resampling_the_rows_themselves() -> None:
    rows = many(1)
    ours = intervals(rows, seed=7, resamples=600)
    random = np.random.default_rng(7)
    drawn = [random.integers(0, len(rows), (min(250, 600 - start), len(rows))) for start in range(0, 600, 250)]
    plain = [values([rows[index] for index in draw]) for chunk in drawn for draw in chunk]
    for name in ("giou", "ciou", "p50", "boundary_f"):
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
    interval = intervals(rows, 0, 300)["n_acc"]
    assert (interval.value, interval.low, interval.high, interval.over) == (None, None, None, 0)
    rare = [*rows, row("absent", 99, expected=Outcome.NOT_IN_VIEW, outcome=Outcome.NOT_IN_VIEW)]
    assert intervals(rare, 0, 300)["n_acc"].value == 1
    assert set(intervals([], 0, 10)) == set(RATIOS)


def test_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="same samples"):
        paired(many(1), many(1)[::-1], seed=0)
