"""A table worked by hand: eight samples, every rate."""

from __future__ import annotations

import pytest
from evaluation_cases import box, found, truth

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.metrics import RATIOS, by_category, confusion, values
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import Row, score

T = box(0, 0, 20, 10)  # 200 pixels
HALF = box(0, 0, 10, 10)  # IoU 0.5
THIRD = box(10, 0, 30, 10)  # IoU 1/3
AWAY = box(40, 40, 50, 50)  # IoU 0, 100 pixels
NEARLY = box(0, 0, 19, 10)  # IoU 0.95


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    said = [
        (truth(T, id="a", category="x"), found(NEARLY, first_mask=AWAY, turns=3, tool_calls=2)),  # corrected
        (truth(T, id="b", category="x"), found(HALF, first_mask=HALF, turns=2, tool_calls=1)),
        (truth(T, id="c", category="x"), found(AWAY, first_mask=T, turns=2, tool_calls=1)),  # spoiled, wrong object
        (truth(T, id="d", category="y"), Prediction(Outcome.NOT_IN_VIEW, turns=1)),
        (
            truth(T, id="e", category="y"),
            Prediction(Outcome.FAILED, T, error_code="POLICY_FAILED", first_mask=THIRD, turns=2),
        ),
        (truth(T, id="f", category="y"), Prediction(Outcome.GAVE_UP, THIRD, first_mask=THIRD, turns=8, bad_replies=2)),
        (truth(id="g", category="z"), Prediction(Outcome.NOT_IN_VIEW, turns=1)),
        (truth(id="h", category="z"), found(AWAY, turns=1)),
    ]
    return [score(index, right, answer) for index, (right, answer) in enumerate(said)]


def test_every_rate_by_hand(rows: list[Row]) -> None:
    rates = values(rows)
    expected = {
        "giou": (0.95 + 0.5 + 0 + 0 + 0 + 1 / 3 + 1 + 0) / 8,
        "ciou": (190 + 100 + 0 + 0 + 0 + 100) / (200 + 200 + 300 + 200 + 200 + 300 + 0 + 100),
        "p50": 2 / 6, "p60": 1 / 6, "p70": 1 / 6, "p80": 1 / 6, "p90": 1 / 6,
        "n_acc": 1 / 2,
        "t_acc": 4 / 6,  # d said it is absent, e said nothing
        "outcome": 4 / 8,  # a, b, c and g; f gave up, e failed
        "wrong_object": 1 / 6,
        "first_iou": (0 + 0.5 + 1 + 1 / 3 + 1 / 3) / 5,
        "corrected": 1 / 3,  # of a, e and f
        "spoiled": 1 / 2,  # of b and c
        "failed": 1 / 8,
        "needless": 0.0,
        "turns": 20 / 8, "tool_calls": 4 / 8, "bad_replies": 2 / 8,
    }  # fmt: skip
    for name, value in expected.items():
        assert rates[name] == pytest.approx(value), name
    assert rates["asked"] is rates["candidates_f1"] is None  # no ambiguous goal
    assert set(expected) | {"asked", "candidates_f1", "boundary_f", "prompt_tokens", "sampled_tokens"} == set(RATIOS)


def test_a_sample_that_failed_is_in_every_denominator(rows: list[Row]) -> None:
    without = [row for row in rows if row.answered]
    ours, flattering = values(rows), values(without)
    for name in ("giou", "ciou", "p50", "boundary_f", "t_acc"):
        assert ours[name] < flattering[name]  # type: ignore[operator]


def test_categories_and_confusion(rows: list[Row]) -> None:
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
