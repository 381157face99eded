"""Scores of one example: the published figures against pycocotools and by hand, and the table of values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from evaluation_cases import SIZE, box, found, truth
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import UNANSWERED, WRONG_CHARGE, score

A, B = box(0, 0, 20, 10), box(10, 0, 30, 10)  # 200 pixels each, 100 shared
FAR = box(40, 40, 60, 50)
THIRD = 1 / 3  # IoU of A and B
ABSENT = Prediction(Outcome.NOT_IN_VIEW)


def gave_up(mask: Mask | None) -> Prediction:
    return Prediction(Outcome.GAVE_UP, mask, partial=True)


def asked(*candidates: Mask) -> Prediction:
    return Prediction(Outcome.AMBIGUOUS, candidates[0], candidates=candidates)


def value(answer: Prediction, example: Example) -> float:
    return score(answer, example).value


def test_iou_agrees_with_pycocotools_on_random_masks() -> None:
    random = np.random.default_rng(3)
    for density in (0.01, 0.3, 0.9):
        ours, theirs = (random.random(SIZE) < density for _ in range(2))
        encoded = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in (ours, theirs)]
        expected = coco.iou([encoded[0]], [encoded[1]], [False])[0, 0]
        made = score(found(ours), truth(theirs))
        assert made.iou == pytest.approx(expected, abs=1e-12)
        assert made.intersection == coco.area(coco.merge(encoded, intersect=True))
        assert made.union == coco.area(coco.merge(encoded))


def test_several_instances_are_one_target_and_are_matched_one_by_one() -> None:
    target = truth(box(0, 0, 10, 10), box(20, 0, 30, 10))
    at_once = score(found(box(0, 0, 30, 10)), target)
    assert (at_once.intersection, at_once.union) == (200, 300)
    assert (at_once.instances_expected, at_once.instances_found, at_once.instances_matched) == (2, 1, 0)
    each = score(found(target.masks[0] | target.masks[1], instances=target.masks), target)
    assert (each.iou, each.instances_found, each.instances_matched) == (1, 2, 2)


@pytest.mark.parametrize("outcome", sorted(UNANSWERED))
def test_a_failure_scores_nothing_whatever_mask_it_has(outcome: Outcome) -> None:
    there = score(Prediction(outcome, A, confidence=0.9, error_code="POLICY_FAILED"), truth(A))
    assert (there.iou, there.intersection, there.union, there.boundary_f, there.masked) == (0, 0, 200, 0, False)
    assert (there.confidence, there.value, there.right) == (None, 0, False)
    absent = score(Prediction(outcome), truth())
    assert (absent.iou, absent.union, absent.boundary_f, absent.value, absent.right) == (0, 0, None, 0, False)


def test_an_empty_mask_says_that_there_is_no_target_whatever_the_outcome() -> None:
    for answer in (ABSENT, gave_up(None), found(np.zeros(SIZE, np.bool_))):
        made = score(answer, truth())
        assert (made.iou, made.intersection, made.union) == (1, 0, 0)
        assert made.right is (answer is ABSENT)
    wrong = score(found(A, confidence=0.7), truth())
    assert (wrong.iou, wrong.intersection, wrong.union, wrong.confidence) == (0, 0, 200, 0.7)
    missed = score(ABSENT, truth(A))
    assert (missed.iou, missed.intersection, missed.union, missed.boundary_f) == (0, 0, 200, 0)


def test_published_iou_of_ambiguous_goals() -> None:
    both = truth(A, FAR, expected=Outcome.AMBIGUOUS)
    question = score(asked(A, FAR), both)
    assert (question.iou, question.union, question.candidates_f1) == (1, 200, 1)
    guessed = score(found(B), both)  # held against the nearest, without a charge for not asking
    assert (guessed.iou, guessed.intersection, guessed.candidates_f1) == (pytest.approx(THIRD), 100, 0)
    clear = score(asked(B, A), truth(A))  # its most confident candidate
    assert (clear.iou, clear.candidates_f1) == (pytest.approx(THIRD), None)


TABLE = [
    ("present", found(B), THIRD),
    ("present", found(FAR), -WRONG_CHARGE),
    ("present", ABSENT, -WRONG_CHARGE),
    ("present", asked(A, FAR), (1 + 0) / 4),
    ("present", asked(B, FAR), -WRONG_CHARGE),
    ("present", asked(B, B), -WRONG_CHARGE),
    ("present", gave_up(A), 1 / 2),
    ("present", gave_up(None), 0),
    ("absent", found(A), -WRONG_CHARGE),
    ("absent", ABSENT, 1),
    ("absent", asked(A, B), -WRONG_CHARGE),
    ("absent", gave_up(A), 0),
    ("ambiguous", found(A), 1 / 2),
    ("ambiguous", found(B), THIRD / 2),
    ("ambiguous", found(box(60, 0, 80, 10)), -WRONG_CHARGE),
    ("ambiguous", ABSENT, -WRONG_CHARGE),
    ("ambiguous", asked(A, FAR), 1),
    ("ambiguous", asked(A, box(60, 0, 80, 10)), 1 / 2),
    ("ambiguous", asked(B, box(60, 0, 80, 10)), -WRONG_CHARGE),
    ("ambiguous", gave_up(A), 0),
]  # fmt: skip
TRUTHS = {"present": truth(A), "absent": truth(), "ambiguous": truth(A, FAR, expected=Outcome.AMBIGUOUS)}


@pytest.mark.parametrize(("name", "answer", "expected"), TABLE)
def test_the_table(name: str, answer: Prediction, expected: float) -> None:
    made = score(answer, TRUTHS[name])
    assert made.value == pytest.approx(expected)
    assert made.charged == (made.wrong_object or made.wrong_absent or made.wrong_question)
    assert made.charged == (expected < 0)


@pytest.mark.parametrize(
    ("name", "answer", "right", "ended_as_expected"),
    [
        ("present", found(A), True, True),
        ("present", found(B), False, True),
        ("present", gave_up(A), False, False),
        ("present", asked(A, B), False, False),
        ("absent", ABSENT, True, True),
        ("absent", gave_up(None), False, False),
        ("ambiguous", asked(A, FAR), True, True),
        ("ambiguous", asked(B, FAR, box(60, 0, 80, 10)), False, True),
        ("ambiguous", found(A), False, False),
    ],
)
def test_right_is_more_than_to_end_as_expected(
    name: str, answer: Prediction, right: bool, ended_as_expected: bool
) -> None:
    made = score(answer, TRUTHS[name])
    assert (made.right, made.ended_as_expected) == (right, ended_as_expected)


def test_questions_are_told_apart() -> None:
    unnecessary = score(asked(A, B), truth(A))
    assert (unnecessary.unnecessary_clarification, unnecessary.wrong_question) == (True, False)
    wrong = score(asked(B, FAR), TRUTHS["present"])
    assert (wrong.unnecessary_clarification, wrong.wrong_question) == (True, True)
    needed = score(asked(A, FAR), TRUTHS["ambiguous"])
    assert (needed.unnecessary_clarification, needed.wrong_question) == (False, False)


def shifted(by: int) -> Mask:
    """A moved so far to the right: IoU (20 - by) / (20 + by)."""
    return box(by, 0, 20 + by, 10)


@given(st.integers(0, 20))
def test_with_the_same_mask_at_hand_the_order_of_the_ends_holds(by: int) -> None:
    """Right above partly right above an honest GAVE_UP above what misleads, whatever is true."""
    mask = shifted(by)
    reached = iou(mask, A)
    for example in TRUTHS.values():
        given_up = value(gave_up(mask), example)
        ends = {
            "found": score(found(mask), example),
            "absent": score(ABSENT, example),
            "asked": score(asked(mask, box(60, 0, 80, 10)), example),
        }
        for name, made in ends.items():
            if made.charged:
                assert made.value < 0 <= given_up, name
            if made.right:
                assert made.value > given_up, name
        partly = ends["found"]
        if example.present and reached >= 0.1:
            assert partly.value > given_up
            assert partly.right or partly.value < value(right_answer(example), example)
        if example.present and reached < 0.1:
            assert partly.charged
        assert ends["absent"].charged == example.present


def test_a_question_that_is_partly_right_lies_between_right_and_given_up() -> None:
    three = truth(A, FAR, box(60, 0, 80, 10), expected=Outcome.AMBIGUOUS)
    partly, whole = score(asked(A, B), three), score(asked(*three.masks), three)
    assert (partly.right, whole.right) == (False, True)
    assert whole.value > partly.value > value(gave_up(A), three) > value(asked(B, B), three)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_a_question_about_other_things_is_worth_less_than_giving_up_without_a_mask(moves: list[int]) -> None:
    """However close its candidates come to the IoU that counts."""
    question = score(asked(*map(shifted, moves)), TRUTHS["present"])
    assert question.charged == (max(iou(shifted(by), A) for by in moves) < 0.5)
    assert question.charged == (question.value < value(gave_up(None), TRUTHS["present"]))


def right_answer(example: Example) -> Prediction:
    if not example.masks:
        return ABSENT
    return asked(*example.masks) if example.expected is Outcome.AMBIGUOUS else found(A)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_listing_more_candidates_never_pays(moves: list[int], far: list[bool]) -> None:
    """Some subset of the candidates, without those that stand for nothing, is worth as much as all of them."""
    candidates = [FAR if away else shifted(by) for by, away in zip(moves, far, strict=False)]
    for example in TRUTHS.values():
        every = value(asked(*candidates), example)
        most = len(example.masks) if example.expected is Outcome.AMBIGUOUS else 1
        assert max(value(asked(*some), example) for some in subsets(candidates, most)) >= every - 1e-12
        again = value(asked(*candidates, candidates[0]), example)
        assert again <= max(every, *(value(asked(one), example) for one in candidates)) + 1e-12


def subsets(candidates: Sequence[Mask], most: int) -> list[tuple[Mask, ...]]:
    return [some for size in range(1, most + 1) for some in itertools.combinations(candidates, size)]


def test_pixels_to_ignore_leave_both_sums() -> None:
    made = score(found(B), truth(A, ignore=box(10, 0, 30, 10)))
    assert (made.intersection, made.union, made.masked) == (0, 100, False)  # all of the answer is ignored
    made = score(found(box(0, 0, 80, 60)), truth(A, ignore=box(20, 0, 80, 60)))
    assert (made.intersection, made.union) == (200, 20 * 60)
    assert score(found(A), truth(ignore=A)).iou == 1  # an answer of nothing but ignored pixels is empty


def test_pixels_to_ignore_leave_candidates_and_instances() -> None:
    half = truth(A, FAR, expected=Outcome.AMBIGUOUS, ignore=box(10, 0, 80, 10))
    made = score(asked(box(0, 0, 60, 10), FAR), half)  # both end where the ignored part begins
    assert (made.candidates_f1, made.instances_matched) == (1, 2)
    assert score(asked(A, FAR, box(60, 0, 80, 10)), half).candidates_f1 == 1  # the third is ignored altogether


def test_first_mask() -> None:
    made = score(found(A, first_mask=B), truth(A))
    assert made.first_iou == pytest.approx(THIRD)
    assert score(found(A, first_mask=B), truth()).first_iou is None
    assert score(ABSENT, truth(A)).first_iou is None


def test_facts_of_the_example_are_kept_for_tables() -> None:
    example = truth(A, id="a", tags=("mugs", "x"), source="record", split="val", self_judged=True)
    made = score(found(A), example, index=7)
    assert (made.index, made.id, made.category, made.source, made.split) == (7, "a", "mugs", "record", "val")
    assert made.self_judged


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="mask of"):
        score(found(np.ones((5, 5), np.bool_)), truth(A))
    unknown = Example("a", truth().image, "the mug", None)
    with pytest.raises(ValueError, match="nobody has said"):
        score(found(A), unknown)
