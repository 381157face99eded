"""Reliability by hand, and ECE against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import scored

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.reliability import reliability, risk_by_coverage


def test_by_hand() -> None:
    rows = [
        scored(confidence=0.95, iou=1.0),
        scored(confidence=0.92, iou=0.4),
        scored(confidence=0.55, iou=0.6),
        scored(confidence=1.0, iou=0.8),
        scored(confidence=None, iou=1.0),  # NOT_IN_VIEW: nobody said how sure
    ]
    found = reliability(rows)
    assert found.count == 4
    last, sixth = found.bins[9], found.bins[5]
    assert (last.count, last.right) == (3, pytest.approx(2 / 3))
    assert last.confidence == pytest.approx((0.95 + 0.92 + 1.0) / 3)
    assert (sixth.count, sixth.right, sixth.confidence) == (1, 1.0, 0.55)
    assert found.ece == pytest.approx(3 / 4 * abs(2.87 / 3 - 2 / 3) + 1 / 4 * 0.45)
    assert found.coverage == (0.25, 0.5, 0.75, 1.0)
    assert found.risk == pytest.approx((0, 0, 1 / 3, 1 / 4))  # the third surest is wrong
    assert found.aurc == pytest.approx((1 / 3 + 1 / 4) / 4)


def test_only_an_answer_that_claims_a_mask_can_be_too_sure() -> None:
    rows = [scored(confidence=0.9, iou=1.0, outcome=outcome) for outcome in (Outcome.GAVE_UP, Outcome.AMBIGUOUS)]
    assert reliability(rows).count == 0
    assert reliability([*rows, scored(confidence=0.9, iou=0.0)]).risk == (1.0,)


def test_equal_confidences_share_their_risk_whatever_their_order() -> None:
    risks = np.array([0.0, 1.0, 0.5])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        assert risk_by_coverage(np.full(3, 0.7), risks[order]) == pytest.approx([0.5, 0.5, 0.5])
    assert risk_by_coverage(np.array([0.9, 0.1, 0.9]), np.array([0.0, 0.9, 0.4])) == pytest.approx([0.2, 0.2, 1.3 / 3])


def test_nothing_to_calibrate() -> None:
    found = reliability([scored(confidence=None)])
    assert (found.count, found.ece, found.aurc, found.risk) == (0, None, None, ())


def test_ece_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch", reason="torchmetrics needs it")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    random = np.random.default_rng(5)
    confidence = np.round(random.uniform(0.02, 0.98, 400), 3) + 0.0004  # off the edges of the bins
    overlap = random.uniform(0, 1, 400)
    rows = [scored(confidence=float(c), iou=float(o)) for c, o in zip(confidence, overlap, strict=True)]
    theirs = functional.binary_calibration_error(
        torch.tensor(confidence), torch.tensor(overlap >= 0.5).long(), n_bins=10, norm="l1"
    )
    assert reliability(rows).ece == pytest.approx(float(theirs), abs=1e-6)
