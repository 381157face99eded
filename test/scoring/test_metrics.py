"""A table worked by hand: eight samples, every rate."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from evaluation_cases import box, found, truth

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.metrics import RATIOS, by_category, confusion, values, with_aliases
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import Score, score

T = box(0, 0, 20, 10)  # 200 pixels
HALF = box(0, 0, 10, 10)  # IoU 0.5
THIRD = box(10, 0, 30, 10)  # IoU 1/3
AWAY = box(40, 40, 50, 50)  # IoU 0, 100 pixels
NEARLY = box(0, 0, 19, 10)  # IoU 0.95


@pytest.fixture(scope="module")
def rows() -> list[Score]:
    said = [
        (truth(T, id="a", tags=("x",)), found(NEARLY, first_mask=AWAY, turns=3, tool_calls=2)),  # corrected
        (truth(T, id="b", tags=("x",)), found(HALF, first_mask=HALF, turns=2, tool_calls=1)),
        (truth(T, id="c", tags=("x",)), found(AWAY, first_mask=T, turns=2, tool_calls=1)),  # regressed, wrong object
        (truth(T, id="d", tags=("y",)), Prediction(Outcome.NOT_IN_VIEW, turns=1)),
        (
            truth(T, id="e", tags=("y",)),
            Prediction(Outcome.FAILED, T, error_code="POLICY_FAILED", first_mask=THIRD, turns=2),
        ),
        (truth(T, id="f", tags=("y",)), Prediction(Outcome.GAVE_UP, THIRD, first_mask=THIRD, turns=8, bad_replies=2)),
        (truth(id="g", tags=("z",)), Prediction(Outcome.NOT_IN_VIEW, turns=1)),
        (truth(id="h", tags=("z",)), found(AWAY, turns=1)),
    ]
    return [score(answer, right, index=index) for index, (right, answer) in enumerate(said)]


def test_every_rate_by_hand(rows: list[Score]) -> None:
    rates = values(rows)
    expected = {
        "giou": (0.95 + 0.5 + 0 + 0 + 0 + 1 / 3 + 1 + 0) / 8,
        "ciou": (190 + 100 + 0 + 0 + 0 + 100) / (200 + 200 + 300 + 200 + 200 + 300 + 0 + 100),
        "value": (0.95 + 0.5 - 0.2 - 0.2 + 0 + 1 / 6 + 1 - 0.2) / 8,
        "right": 3 / 8,  # a, b and g
        "p50": 2 / 6, "p60": 1 / 6, "p70": 1 / 6, "p80": 1 / 6, "p90": 1 / 6,
        "n_acc": 1 / 2, "n_acc_strict": 1 / 2,
        "t_acc": 4 / 6,  # d said it is absent, e said nothing
        "outcome_accuracy": 4 / 8,  # a, b, c and g; f gave up, e failed
        "wrong_object": 2 / 8,  # c and h
        "wrong_absent": 1 / 6,  # d
        "wrong_question": 0.0,
        "first_iou": (0 + 0.5 + 1 + 1 / 3 + 1 / 3) / 5,
        "corrected": 1 / 3,  # of a, e and f
        "regressed": 1 / 2,  # of b and c
        "failed": 1 / 8,
        "unnecessary_clarification": 0.0,
        "turns": 20 / 8, "tool_calls": 4 / 8, "bad_replies": 2 / 8, "repaired_replies": 0.0,
    }  # fmt: skip
    for name, value in expected.items():
        assert rates[name] == pytest.approx(value), name
    none = {"clarification_rate", "candidates_f1"}  # no ambiguous goal
    assert all(rates[name] is None for name in none)
    assert set(expected) | none | {"boundary_f", "prompt_tokens", "sampled_tokens"} == set(RATIOS)


def test_a_question_about_other_objects_alone_is_wrong() -> None:
    asked = [
        Prediction(Outcome.AMBIGUOUS, candidates=(T, AWAY)),
        Prediction(Outcome.AMBIGUOUS, candidates=(AWAY, AWAY)),
    ]
    assert values([score(answer, truth(T)) for answer in asked])["wrong_question"] == 1 / 2


def test_a_missing_mask_is_no_report_of_absence() -> None:
    """Published N-acc takes any empty mask for "no target"; the strict one asks that it was said."""
    gave_up = [score(Prediction(Outcome.GAVE_UP), truth())]
    assert (values(gave_up)["n_acc"], values(gave_up)["n_acc_strict"]) == (1, 0)
    failed = [score(Prediction(Outcome.FAILED), truth())]
    assert (values(failed)["n_acc"], values(failed)["n_acc_strict"]) == (0, 0)


def test_names_of_the_first_release_stay_in_files() -> None:
    figures = with_aliases({name: number for number, name in enumerate(RATIOS)})
    assert figures["outcome"] == figures["outcome_accuracy"]
    assert {"spoiled", "asked", "needless"} <= set(figures)


def test_scores_of_the_first_release_have_no_value() -> None:
    old = replace(score(found(T), truth(T)), credit=math.nan)
    assert values([old])["value"] is None
    assert values([old])["right"] == 1


def test_a_sample_that_failed_is_in_every_denominator(rows: list[Score]) -> None:
    without = [row for row in rows if row.answered]
    ours, flattering = values(rows), values(without)
    for name in ("giou", "ciou", "p50", "boundary_f", "t_acc"):
        assert ours[name] < flattering[name]  # type: ignore[operator]


def test_categories_and_confusion(rows: list[Score]) -> None:
    parts = by_category(rows)
    assert {name: len(part) for name, part in parts.items()} == {"x": 3, "y": 3, "z": 2}
    assert values(parts["z"])["giou"] == 0.5
    assert values(parts["z"])["p50"] is None
    table = confusion(rows)
    assert table["found"] == {
        "found": 3, "not_in_view": 1, "ambiguous": 0, "gave_up": 1, "canceled": 0, "preempted": 0, "shutdown": 0,
        "failed": 1,
    }  # fmt: skip
    assert table["not_in_view"]["found"] == table["not_in_view"]["not_in_view"] == 1
    assert sum(sum(ends.values()) for ends in table.values()) == len(rows)


def test_no_rows_have_no_rates() -> None:
    assert set(values([]).values()) == {None}
