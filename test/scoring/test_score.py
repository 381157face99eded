"""Scores of one sample, against pycocotools and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import SIZE, box, found, truth
from pycocotools import mask as coco

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import UNANSWERED, candidates_f1, score

A, B = box(0, 0, 20, 10), box(10, 0, 30, 10)  # 200 pixels each, 100 shared
NONE_FOUND = Prediction(Outcome.NOT_IN_VIEW)


def test_iou_agrees_with_pycocotools_on_random_masks() -> None:
    random = np.random.default_rng(3)
    for density in (0.01, 0.3, 0.9):
        ours, theirs = (random.random(SIZE) < density for _ in range(2))
        encoded = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in (ours, theirs)]
        expected = coco.iou([encoded[0]], [encoded[1]], [False])[0, 0]
        made = score(0, truth(theirs), found(ours))
        assert made.iou == pytest.approx(expected, abs=1e-12)
        assert made.intersection == coco.area(coco.merge(encoded, intersect=True))
        assert made.union == coco.area(coco.merge(encoded))


def test_several_instances_are_one_target() -> None:
    made = score(0, truth(box(0, 0, 10, 10), box(20, 0, 30, 10)), found(box(0, 0, 30, 10)))
    assert (made.intersection, made.union) == (200, 300)


@pytest.mark.parametrize("outcome", sorted(UNANSWERED))
def test_a_failure_scores_nothing_whatever_mask_it_has(outcome: Outcome) -> None:
    there = score(0, truth(A), Prediction(outcome, A, confidence=0.9, error_code="POLICY_FAILED"))
    assert (there.iou, there.intersection, there.union, there.boundary_f, there.masked) == (0, 0, 200, 0, False)
    assert there.confidence is None
    absent = score(0, truth(), Prediction(outcome))
    assert (absent.iou, absent.union, absent.boundary_f) == (0, 0, None)


def test_absent_targets() -> None:
    right = score(0, truth(), NONE_FOUND)
    assert (right.iou, right.intersection, right.union) == (1, 0, 0)
    wrong = score(0, truth(), found(A, confidence=0.7))
    assert (wrong.iou, wrong.intersection, wrong.union, wrong.confidence) == (0, 0, 200, 0.7)
    gave_up = score(0, truth(), Prediction(Outcome.GAVE_UP))
    assert (gave_up.iou, gave_up.union) == (1, 0)  # an empty answer


def test_absent_said_of_what_is_there() -> None:
    made = score(0, truth(A), NONE_FOUND)
    assert (made.iou, made.intersection, made.union, made.boundary_f) == (0, 0, 200, 0)


def test_gave_up_counts_its_mask() -> None:
    assert score(0, truth(A), Prediction(Outcome.GAVE_UP, B, partial=True)).iou == pytest.approx(1 / 3)


def test_ambiguous_answers() -> None:
    both = truth(A, box(40, 40, 60, 50), expected=Outcome.AMBIGUOUS)
    asked = score(0, both, Prediction(Outcome.AMBIGUOUS, A, candidates=(A, box(40, 40, 60, 50))))
    assert (asked.iou, asked.candidates_f1, asked.union) == (1, 1, 200)
    half = score(0, both, Prediction(Outcome.AMBIGUOUS, A, candidates=(A, box(60, 0, 80, 10))))
    assert half.candidates_f1 == pytest.approx(0.5)
    guessed = score(0, both, found(A))
    assert (guessed.iou, guessed.intersection, guessed.union, guessed.boundary_f) == (0, 0, 200, 0)
    assert guessed.candidates_f1 == 0
    clear = score(0, truth(A), Prediction(Outcome.AMBIGUOUS, B, candidates=(A, B)))
    assert (clear.iou, clear.candidates_f1) == (pytest.approx(1 / 3), None)


def test_candidates_are_matched_one_to_one_and_closest_first() -> None:
    assert candidates_f1([A, A, A], [A]) == pytest.approx(0.5)  # 1 match: 2 / (3 + 1)
    near = box(1, 0, 21, 10)  # IoU 190 / 210 with A
    assert candidates_f1([near, A], [A, near]) == 1
    assert candidates_f1([], [A, B]) == 0


def test_pixels_to_ignore_leave_both_sums() -> None:
    made = score(0, truth(A, ignore=box(10, 0, 30, 10)), found(B))
    assert (made.intersection, made.union, made.masked) == (0, 100, False)  # all of the answer is ignored
    made = score(0, truth(A, ignore=box(20, 0, 80, 60)), found(box(0, 0, 80, 60)))
    assert (made.intersection, made.union) == (200, 20 * 60)
    assert score(0, truth(ignore=A), found(A)).iou == 1  # an answer of nothing but ignored pixels is empty


def test_first_mask() -> None:
    made = score(0, truth(A), found(A, first_mask=B))
    assert made.first_iou == pytest.approx(1 / 3)
    assert score(0, truth(), found(A, first_mask=B)).first_iou is None
    assert score(0, truth(A), NONE_FOUND).first_iou is None


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="mask of"):
        score(0, truth(A), found(np.ones((5, 5), np.bool_)))
