"""Masks of a phrase to instances: each thing once, the surest of it, in order of the scores."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")

import torch

from rsagent_ros.agent.geometry import Box
from rsagent_ros.segmenters.instances import detection, distinct, to_full_size


def squares(*columns: tuple[int, int]) -> torch.Tensor:
    """Masks of 10 rows between columns of a 20 x 40 grid."""
    masks = torch.zeros(len(columns), 20, 40, dtype=torch.bool)
    for mask, (left, right) in zip(masks, columns, strict=True):
        mask[5:15, left:right] = True
    return masks


def test_of_masks_of_one_thing_the_surest_stays() -> None:
    masks = squares((0, 10), (20, 30), (1, 10), (20, 31))
    assert distinct(torch.tensor([0.3, 0.9, 0.8, 0.4]), masks) == [1, 2]


def test_a_part_of_a_thing_is_another_thing() -> None:
    assert distinct(torch.tensor([0.5, 0.6]), squares((0, 10), (0, 5))) == [1, 0]


@pytest.mark.parametrize(("shift", "kept"), [(1, [0]), (2, [0, 1])])
def test_how_much_two_things_may_share(shift: int, kept: list[int]) -> None:
    """Of 10 columns: IoU 9/11 is one thing, 8/12 two."""
    assert distinct(torch.tensor([0.9, 0.8]), squares((0, 10), (shift, 10 + shift))) == kept


def test_a_mask_without_a_pixel_is_nothing() -> None:
    assert distinct(torch.tensor([0.9, 0.8]), squares((0, 0), (3, 9))) == [1]
    assert distinct(torch.zeros(0), torch.zeros(0, 4, 4, dtype=torch.bool)) == []
    assert detection(np.zeros((4, 6), dtype=np.bool_), 0.9, 1.0) is None


def test_a_detection_has_the_part_inside_its_box() -> None:
    mask = np.zeros((4, 6), dtype=np.bool_)
    mask[1, 2:5] = mask[2, 3] = True
    one = detection(mask, 0.9, 0.8)
    assert one is not None
    assert one.box == Box(2, 1, 5, 3)
    assert one.part.tolist() == [[True, True, True], [False, True, False]]
    assert (one.score, one.stability) == (0.9, 0.8)


def test_many_masks_are_resized_as_one_is() -> None:
    probabilities = torch.rand(19, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = to_full_size(probabilities, (31, 50))
    assert whole.shape == (19, 31, 50)
    assert all(np.array_equal(whole[n], to_full_size(probabilities[n : n + 1], (31, 50))[0]) for n in range(19))
