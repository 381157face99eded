"""Masks and the objects they stand for, against every possible assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from evaluation_cases import box

from rsagent_ros.scoring.matching import MATCH_IOU, f1, matched_ious, pairwise_iou

A, B = box(0, 0, 20, 10), box(10, 0, 30, 10)


def test_one_to_one() -> None:
    assert matched_ious([A, A, A], [A]) == [1.0]
    assert f1([A, A, A], [A]) == pytest.approx(0.5)  # 2 / (3 + 1)
    assert (f1([], [A, B]), f1([A], []), f1([], [])) == (0, 0, 1)


def test_a_second_pair_is_worth_more_than_a_closer_first_one() -> None:
    """The closest pair first, as greedy matching has it, would leave the second mask without a partner."""
    middle = box(2, 0, 22, 10)
    left, right = box(0, 0, 20, 10), box(6, 0, 26, 10)
    # `middle` is nearer to `left` (0.82) than to `right` (0.67), and `left` is far enough from `right` (0.54).
    assert matched_ious([middle, left], [left, right]) == pytest.approx([1.0, 2 / 3])
    further = box(4, 0, 24, 10)
    narrow = box(12, 0, 32, 10)
    overlaps = pairwise_iou([further, left], [middle, narrow])
    assert overlaps[0].argmax() == overlaps[1].argmax() == 0
    assert overlaps[1, 1] < MATCH_IOU
    assert len(matched_ious([further, left], [middle, narrow], least=0.4)) == 2


def test_as_many_pairs_as_any_assignment_has() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        masks, truths = ([box(x, 0, x + 20, 10) for x in random.integers(0, 30, count)] for count in (3, 4))
        overlaps = pairwise_iou(masks, truths)
        assignments = list(itertools.permutations(range(4), 3))
        counts = [(overlaps[range(3), columns] >= MATCH_IOU).sum() for columns in assignments]
        sums = [
            overlaps[range(3), columns][overlaps[range(3), columns] >= MATCH_IOU].sum()
            for columns, count in zip(assignments, counts, strict=True)
            if count == max(counts)
        ]
        ours = matched_ious(masks, truths)
        assert len(ours) == max(counts)
        assert sum(ours) == pytest.approx(max(sums))


def test_masks_without_overlap_never_match() -> None:
    assert matched_ious([A], [box(40, 40, 60, 50)], least=0.0) == []
