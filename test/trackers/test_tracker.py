"""What no track can begin or go on with, and how losses are worded."""

from __future__ import annotations

import numpy as np
import pytest

from rsagent_ros.trackers.lost import LostLimits, area_jumped, lost_sentence
from rsagent_ros.trackers.tracker import LostReason, check_start, check_step

FRAME = np.zeros((48, 64, 3), np.uint8)
MASK = np.ones((48, 64), np.bool_)


@pytest.mark.parametrize(
    ("frame", "mask", "told"),
    [
        (np.zeros((48, 64), np.uint8), MASK, "uint8 RGB is needed"),
        (np.zeros((48, 64, 4), np.uint8), MASK, "uint8 RGB is needed"),
        (np.zeros((48, 64, 3), np.float32), MASK, "uint8 RGB is needed"),
        (np.zeros((0, 64, 3), np.uint8), MASK, "uint8 RGB is needed"),
        (FRAME, MASK[:-1], "of the frame it was found on"),
        (FRAME, MASK.astype(np.uint8), "give the mask as bool"),
        (FRAME, ~MASK, "the mask is empty"),
    ],
)
def test_what_a_track_cannot_begin_with(frame: np.ndarray, mask: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_start(frame, mask)


def test_what_a_track_can_begin_and_go_on_with() -> None:
    check_start(FRAME, MASK)
    check_step(FRAME, 2, (48, 64), 1)


def test_what_a_track_cannot_go_on_with() -> None:
    with pytest.raises(ValueError, match="64 x 48, the track began with 32 x 24"):
        check_step(FRAME, 2, (24, 32), 1)
    for stamp in (0, 1):
        with pytest.raises(ValueError, match="when time goes back"):
            check_step(FRAME, stamp, (48, 64), 1)


@pytest.mark.parametrize(
    ("area", "before", "jumped"),
    [(100, 100, False), (199, 100, False), (201, 100, True), (51, 100, False), (49, 100, True)],
)
def test_an_area_jumps_by_its_factor_either_way(area: float, before: float, jumped: bool) -> None:
    assert area_jumped(area, before, LostLimits(max_area_ratio=2.0)) is jumped


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_score", 1.1), ("min_in_view", -0.1), ("min_visible", float("nan")), ("max_area_ratio", 1.0)],
)
def test_limits_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        LostLimits(**{name: value})


def test_every_loss_has_a_sentence_of_its_own_with_figure_and_limit() -> None:
    told = {loss: lost_sentence(loss, 0.1234, 0.5678) for loss in LostReason}
    assert told.pop(LostReason.NONE) == ""
    assert len(set(told.values())) == len(told)
    for words in told.values():
        assert "12" in words
        assert "57" in words or "0.5678" in words
