"""Evidence that a candidate is better: a clear gain, and nothing that may have got worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from evaluation_cases import box, scored, truth

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import Score, score
from rsagent_ros.shadow.paired_result import PairedResult, paired_result

ARMS = ("a", "b")


def scores(ious: list[float] | np.ndarray, outcome: Outcome = Outcome.FOUND) -> dict[str, Score]:
    """Scores of present goals."""
    return {f"g{number}": scored(f"g{number}", iou=float(iou), outcome=outcome) for number, iou in enumerate(ious)}


def result(first: dict[str, Score], second: dict[str, Score], needed: int = 30) -> PairedResult:
    return paired_result(ARMS, sorted({*first, *second}), first, second, needed=needed)


def test_a_candidate_that_is_better_on_most_goals_is_promotable() -> None:
    better = result(scores([0.5] * 40), scores([0.9] * 30 + [0.4] * 10))
    assert better.promotable
    assert better.gain == pytest.approx(0.275)
    assert (better.incumbent, better.candidate) == (pytest.approx(0.5), pytest.approx(0.775))
    assert 0 < better.low < better.gain < better.high
    assert "a gain of +0.275" in str(better)
    assert not result(scores([0.9] * 30 + [0.4] * 10), scores([0.5] * 40)).promotable


def test_ties_promote_nothing() -> None:
    same = result(scores([0.25, 0.75] * 50), scores([0.25, 0.75] * 50))
    assert (same.gain, same.low, same.high) == (0, 0, 0)
    assert not same.promotable
    assert "not clearly above 0" in str(same)


def test_one_lucky_goal_promotes_nothing() -> None:
    assert not result(scores([0.5] * 60), scores([0.5] * 59 + [1.0])).promotable


def test_a_difference_within_the_noise_promotes_nothing() -> None:
    random = np.random.default_rng(0)
    lucky = result(scores(random.uniform(0, 1, 60)), scores(random.uniform(0, 1, 60) + 0.02))
    assert lucky.low < 0 < lucky.high
    assert not lucky.promotable


def test_too_few_goals_promote_nothing() -> None:
    few = result(scores([0.2] * 29), scores([1.0] * 29))
    assert few.low > 0
    assert not few.promotable
    assert "not enough to say: 30 goals are needed" in str(few)
    assert result(scores([0.2] * 30), scores([1.0] * 30)).promotable


def test_one_goal_is_no_interval() -> None:
    one = result(scores([0.2]), scores([1.0]), needed=1)
    assert (one.goals, one.low) == (1, 0.0)
    assert not one.promotable


def test_only_goals_that_both_have_answered_count() -> None:
    half = result(scores([0.5] * 40), scores([1.0] * 10))
    assert (half.judged, half.goals) == (40, 10)
    assert not half.finished
    assert str(result(scores([0.5]), {})).startswith("nothing to compare yet")


def test_failures_of_the_incumbent_speak_for_nobody() -> None:
    broken = result(scores([0.0] * 40, Outcome.FAILED), scores([1.0] * 40))
    assert (broken.goals, broken.unanswered) == (0, 40)
    assert broken.finished
    assert not broken.promotable
    counted = result(scores([0.5] * 40), scores([0.0] * 40, Outcome.FAILED))
    assert (counted.goals, counted.gain) == (40, -0.5)


def test_late_answers_of_the_candidate_count_nothing() -> None:
    both = scores([0.5] * 40), scores([1.0] * 40)
    late = paired_result(ARMS, list(both[0]), *both, late={"g0", "g1", "elsewhere"})
    assert (late.late, late.candidate) == (2, 0.95)
    assert "2 answers of the candidate came too late" in str(late)
    assert not paired_result(ARMS, list(both[0]), *both, late=set(both[0])).promotable


# Policies that gain by what is common in a log --------------------------------------------------------------------

THING, OTHER, NOWHERE = box(0, 0, 20, 10), box(40, 40, 60, 50), box(60, 0, 80, 10)
TRUTHS = {
    Outcome.FOUND: truth(THING),
    Outcome.NOT_IN_VIEW: truth(),
    Outcome.AMBIGUOUS: truth(THING, OTHER, expected=Outcome.AMBIGUOUS),
}
RIGHT = {
    Outcome.FOUND: Prediction(Outcome.FOUND, THING),
    Outcome.NOT_IN_VIEW: Prediction(Outcome.NOT_IN_VIEW),
    Outcome.AMBIGUOUS: Prediction(Outcome.AMBIGUOUS, THING, candidates=(THING, OTHER)),
}
ALWAYS_ASKS = Prediction(Outcome.AMBIGUOUS, THING, candidates=(THING, OTHER))
ALWAYS_ABSENT = Prediction(Outcome.NOT_IN_VIEW)
ALWAYS_FOUND = Prediction(Outcome.FOUND, THING)

Policy = Callable[[Outcome, np.random.Generator], Prediction]


def right_sometimes(**shares: float) -> Policy:
    """A policy that is right so often on each kind of goal, and else finds another object."""

    def answer(expected: Outcome, random: np.random.Generator) -> Prediction:
        right = random.random() < shares.get(str(expected), 0.6)
        return RIGHT[expected] if right else Prediction(Outcome.FOUND, NOWHERE)

    return answer


def log(absent: float, goals: int = 300) -> list[Outcome]:
    """What is true of the goals of a log: so many absent, a tenth of the others ambiguous."""
    missing = round(absent * goals)
    unclear = max(1, (goals - missing) // 10)
    kinds = ((Outcome.NOT_IN_VIEW, missing), (Outcome.AMBIGUOUS, unclear), (Outcome.FOUND, goals - missing - unclear))
    return [kind for kind, count in kinds for _ in range(count)]


def answers(policy: Policy, goals: list[Outcome], seed: int) -> dict[str, Score]:
    random = np.random.default_rng(seed)
    known: dict[tuple[Outcome, int], Score] = {}
    found = {}
    for number, expected in enumerate(goals):
        said = policy(expected, random)
        key = (expected, id(said) if said in RIGHT.values() else hash(said.outcome))
        known[key] = known.get(key) or score(said, TRUTHS[expected])
        found[f"g{number}"] = replace(known[key], id=f"g{number}")
    return found


@pytest.mark.parametrize("absent", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("always", [ALWAYS_ASKS, ALWAYS_ABSENT, ALWAYS_FOUND], ids=["asks", "absent", "found"])
@pytest.mark.parametrize("weak", ["found", "not_in_view", "ambiguous"])
def test_a_policy_that_always_says_the_same_is_never_promoted(always: Prediction, absent: float, weak: str) -> None:
    """Though the incumbent is weak where that answer is right, so that the candidate may gain over all goals."""
    goals = log(absent)
    incumbent = answers(right_sometimes(**{weak: 0.1}), goals, seed=1)
    candidate = answers(lambda expected, random: always, goals, seed=2)
    compared = result(incumbent, candidate)
    assert not compared.promotable, str(compared)


@pytest.mark.parametrize("absent", [0.1, 0.5, 0.9])
def test_a_policy_that_is_better_at_everything_is_promoted_on_the_same_logs(absent: float) -> None:
    goals = log(absent)
    better = right_sometimes(found=0.95, not_in_view=0.95, ambiguous=0.95)
    compared = result(answers(right_sometimes(), goals, seed=1), answers(better, goals, seed=1))
    assert compared.promotable, str(compared)


def test_a_gain_that_absent_goals_pay_for_is_told() -> None:
    """Nine of ten goals are absent: who says so always gains much, and finds nothing any more."""
    goals = log(0.9)
    compared = result(answers(right_sometimes(), goals, 1), answers(lambda expected, random: ALWAYS_ABSENT, goals, 2))
    assert compared.low > 0
    assert not compared.promotable
    assert [one.name for one in compared.no_worse if one.worse] == ["present", "ambiguous"]
    assert "present may be worse" in str(compared)


def test_wrong_objects_alone_are_reason_enough() -> None:
    """The value rises, and so do the wrong objects: a gripper would close on them."""
    before = [scored(f"g{number}", iou=0.3) for number in range(100)]
    after = [replace(one, iou=0.95, credit=0.95) for one in before[:90]]
    after += [replace(one, iou=0.0, credit=0.0, charged=True) for one in before[90:]]
    compared = result({one.id: one for one in before}, {one.id: one for one in after})
    assert compared.low > 0
    assert [one.name for one in compared.no_worse if one.worse] == ["wrong objects"]
    assert not compared.promotable


def test_too_few_present_goals_are_not_enough_to_say() -> None:
    goals = log(0.95, 200)
    better = right_sometimes(found=1.0, not_in_view=1.0, ambiguous=1.0)
    compared = result(answers(right_sometimes(), goals, 1), answers(better, goals, 1))
    assert compared.low > 0
    assert not compared.promotable
    assert "not enough to say: 9 present goals, 20 are needed" in str(compared)


def test_a_kind_of_goal_that_a_log_has_not_is_no_obstacle() -> None:
    goals = [Outcome.FOUND] * 40
    compared = result(answers(right_sometimes(), goals, 1), answers(right_sometimes(found=1.0), goals, 1))
    assert [one.name for one in compared.no_worse] == ["present", "wrong objects"]
    assert compared.promotable
