"""Evidence: how firm an edge is, and which mask is handed over when the budget ends."""

from __future__ import annotations

import numpy as np
import pytest

from rsagent_ros.agent.evidence import MaskEntry, best_so_far, entry_of, stability
from rsagent_ros.agent.geometry import Box, View


def entry(mask_id: int, score: float = 0.5, firmness: float = 1.0, parents: tuple[int, ...] = ()) -> MaskEntry:
    mask = np.zeros((4, 5), dtype=np.bool_)
    mask[1:3, 1:4] = True
    made = entry_of(mask_id, mask, View.whole(5, 4), score=score, stability=firmness, parents=parents)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[8, 8], [-8, -8]], 1.0),
        ([[8, 0], [-8, -8]], 0.5),
        ([[0.5, 0.5], [0.5, 0.5]], 0.0),
        ([[1, -1], [8, -8]], 0.5),  # exactly at a level is not above it
        ([[-8, -8], [-8, -8]], 0.0),
        ([[np.nan, np.nan], [8, 0]], 0.5),
        ([[np.inf, -np.inf], [np.inf, 0]], 2 / 3),
    ],
)
def test_stability_compares_the_areas_above_two_levels(logits: list[list[float]], expected: float) -> None:
    assert stability(np.array(logits, dtype=np.float32)) == expected


def test_entry_knows_its_box_and_empty_masks_make_none() -> None:
    assert entry(1).box == Box(1, 1, 4, 3)
    assert entry(1).mask.sum() == 6
    assert entry_of(1, np.zeros((4, 5), dtype=np.bool_), View.whole(5, 4), score=1, stability=1) is None


def test_entry_of_a_part_is_a_mask_of_the_frame() -> None:
    made = entry_of(1, np.ones((2, 3), dtype=np.bool_), View(2, 1, 5, 3, 9, 7), score=1, stability=1)
    assert made is not None
    assert (made.box, made.mask.shape, int(made.mask.sum())) == (Box(2, 1, 5, 3), (7, 9), 6)
    assert made.mask[1:3, 2:5].all()


@pytest.mark.parametrize(
    ("score", "firmness", "confidence"), [(0.8, 0.5, 0.4), (1.5, 1.0, 1.0), (-0.5, 1.0, 0.0), (0.9, 0.0, 0.0)]
)
def test_confidence_is_both_pieces_of_evidence(score: float, firmness: float, confidence: float) -> None:
    assert entry(1, score, firmness).confidence == confidence
    assert entry(1, score, firmness).instance().confidence == confidence


@pytest.mark.parametrize(
    ("entries", "best"),
    [
        ([], None),
        ([entry(1, 0.0)], 1),
        ([entry(1, 0.9), entry(2, 0.5)], 1),  # the highest evidence
        ([entry(1, 0.5), entry(2, 0.5)], 2),  # of equals the newest
        ([entry(1, 0.9, 0.5), entry(2, 0.5, 1.0)], 2),  # score alone does not count
        ([entry(1, 0.9), entry(2, 0.2, parents=(1,))], 2),  # refined: not good enough for the policy
        ([entry(1, 0.9), entry(2, 0.8), entry(3, 0.1, parents=(1, 2))], 3),  # combined or cut away
        ([entry(1, 0.9), entry(2, 0.2, parents=(1,)), entry(3, 0.3)], 3),
        ([entry(1, 0.9), entry(2, 0.8, parents=(1,)), entry(3, 0.1, parents=(2,))], 3),
    ],
)
def test_best_so_far(entries: list[MaskEntry], best: int | None) -> None:
    found = best_so_far(entries)
    assert (None if found is None else found.mask_id) == best
