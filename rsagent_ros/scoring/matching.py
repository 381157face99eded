"""Matching of masks to the objects they stand for: one to one, as many pairs as there can be, the closest of these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, iou

MATCH_IOU = 0.5
"""From this IoU on two masks are of the same object."""


def matched_ious(masks: Sequence[Mask], truths: Sequence[Mask], least: float = MATCH_IOU) -> list[float]:
    """IoU of each matched pair, the best first; masks and truths without a partner are in no pair.

    Args:
        masks: (H, W) bool each.
        truths: (H, W) bool each.
        least: IoU from which on a mask can stand for an object, 0..1; pairs without any overlap never match.
    """
    # Imported when something is judged: a robot that only answers goals would pay 50 MB for it.
    from scipy.optimize import linear_sum_assignment

    overlaps = pairwise_iou(masks, truths)
    allowed = (overlaps >= least) & (overlaps > 0)
    # One pair more outweighs any gain in overlap, which is at most 1 a pair.
    worth = np.where(allowed, overlaps + min(overlaps.shape) + 1, 0.0)
    pairs = zip(*linear_sum_assignment(worth, maximize=True), strict=True)
    return sorted((float(overlaps[pair]) for pair in pairs if allowed[pair]), reverse=True)


def f1(masks: Sequence[Mask], truths: Sequence[Mask], least: float = MATCH_IOU) -> float:
    """F1 of masks against objects, 0..1: twice the matched pairs over the number of both; 1 where there are neither."""
    total = len(masks) + len(truths)
    return 2 * len(matched_ious(masks, truths, least)) / total if total else 1.0


def pairwise_iou(masks: Sequence[Mask], truths: Sequence[Mask]) -> NDArray[np.float64]:
    """(masks, truths) IoU of each with each."""
    return np.array([[iou(mask, truth) for truth in truths] for mask in masks]).reshape(len(masks), len(truths))
