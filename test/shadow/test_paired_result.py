"""When a candidate is better beyond doubt, and when a contest is looked at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import scored

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.score import Score
from rsagent_ros.shadow.interim_analysis import Looks
from rsagent_ros.shadow.paired_result import Standing, standing

SIDES = ("a", "b")


def rows(ious: list[float] | np.ndarray, outcome: Outcome = Outcome.FOUND) -> dict[str, Score]:
    return {f"g{number}": scored(f"g{number}", iou=float(iou), outcome=outcome) for number, iou in enumerate(ious)}


def of(first: dict[str, Score], second: dict[str, Score], needed: int = 30) -> Standing:
    return standing(SIDES, sorted({*first, *second}), first, second, needed=needed)


def test_a_candidate_that_is_better_on_most_goals_is_promotable() -> None:
    better = of(rows([0.5] * 40), rows([0.9] * 30 + [0.4] * 10))
    assert better.promotable
    assert better.gain == pytest.approx(0.275)
    assert (better.incumbent, better.candidate) == (pytest.approx(0.5), pytest.approx(0.775))
    assert 0 < better.lowest < better.low < better.gain < better.high
    assert better.sure
    assert "a gain of +0.275" in str(better)
    assert not of(rows([0.9] * 30 + [0.4] * 10), rows([0.5] * 40)).promotable


def test_what_a_person_may_promote_the_node_need_not() -> None:
    slight = of(rows([0.5] * 40), rows([0.5] * 29 + [0.9] * 9 + [0.1] * 2))
    assert slight.promotable
    assert not slight.sure


def test_ties_promote_nobody() -> None:
    same = of(rows([0.25, 0.75] * 50), rows([0.25, 0.75] * 50))
    assert (same.gain, same.low, same.high) == (0, 0, 0)
    assert not same.promotable
    assert "not clearly above 0" in str(same)


def test_one_lucky_goal_promotes_nobody() -> None:
    assert not of(rows([0.5] * 60), rows([0.5] * 59 + [1.0])).promotable


def test_a_difference_within_the_noise_promotes_nobody() -> None:
    random = np.random.default_rng(0)
    lucky = of(rows(random.uniform(0, 1, 60)), rows(random.uniform(0, 1, 60) + 0.02))
    assert lucky.low < 0 < lucky.high
    assert not lucky.promotable


def test_too_few_goals_promote_nobody() -> None:
    few = of(rows([0.0] * 29), rows([1.0] * 29))
    assert few.low > 0
    assert not few.promotable
    assert "30 goals are needed" in str(few)
    assert of(rows([0.0] * 30), rows([1.0] * 30)).promotable


def test_only_goals_that_both_have_answered_count() -> None:
    half = of(rows([0.5] * 40), rows([1.0] * 10))
    assert (half.judged, half.goals) == (40, 10)
    assert not half.finished
    assert str(of(rows([0.5]), {})).startswith("nothing to compare yet")


def test_failures_of_the_incumbent_speak_for_nobody() -> None:
    broken = of(rows([0.0] * 40, Outcome.FAILED), rows([1.0] * 40))
    assert (broken.goals, broken.unanswered) == (0, 40)
    assert broken.finished
    assert not broken.promotable
    counted = of(rows([0.5] * 40), rows([0.0] * 40, Outcome.FAILED))
    assert (counted.goals, counted.gain) == (40, -0.5)


def test_late_answers_of_the_candidate_count_nothing() -> None:
    both = rows([0.5] * 40), rows([1.0] * 40)
    late = standing(SIDES, list(both[0]), *both, late={"g0", "g1", "elsewhere"})
    assert (late.late, late.candidate) == (2, 0.95)
    assert "2 answers of the candidate came too late" in str(late)
    assert not standing(SIDES, list(both[0]), *both, late=set(both[0])).promotable


def ids(count: int, first: int = 0) -> frozenset[str]:
    return frozenset(f"g{number}" for number in range(first, first + count))


def test_it_is_looked_at_when_all_is_answered_and_then_at_as_many_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "looks" / "a-b.json"
    looks = Looks(path)
    good = Standing(SIDES, judged=40, goals=40, gain=0.3, low=0.1, high=0.5, lowest=0.05)
    assert not looks.take(replace(good, judged=41), ids(41)).cleared  # one is not answered yet
    assert not looks.take(replace(good, judged=29, goals=29), ids(29)).cleared
    assert looks.take(good, ids(40)).cleared
    worse = replace(good, judged=79, goals=79, low=-0.1, lowest=0.0)
    assert looks.take(worse, ids(79)).cleared  # not looked at again before there are 80
    assert not worse.promotable
    assert not Looks(path).take(replace(worse, judged=80, goals=80), ids(80)).cleared
    # Better again at 100: the next look is due at 160, also for another process.
    again = replace(good, judged=100, goals=100)
    assert not Looks(path).take(again, ids(100)).cleared
    assert Looks(path).take(replace(good, judged=160, goals=160), ids(160)).cleared


def test_where_old_goals_leave_it_is_looked_at_when_as_many_new_ones_have_come(tmp_path: Path) -> None:
    path = tmp_path / "a-b.json"
    unsure = Standing(SIDES, judged=600, goals=600, gain=0.1, low=0.01, high=0.2, lowest=-0.01)
    assert not Looks(path).take(unsure, ids(600)).cleared
    sure = replace(unsure, judged=1000, goals=1000, lowest=0.01)  # there are never more than 1,000
    assert not Looks(path).take(sure, ids(1000, first=199)).cleared
    assert Looks(path).take(sure, ids(1000, first=200)).cleared


def test_a_damaged_look_found_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a-b.json"
    path.write_text("{")
    assert not Looks(path).take(Standing(SIDES, judged=5, goals=5, low=0.1), ids(5)).cleared
