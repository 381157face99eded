"""Examples: parts that contradict each other are refused, and what is read off them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.data.example import Example, as_id, blank_image

SHAPE = (24, 32)


def box(x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[:, x0:x1] = True
    return mask


ONE = Example("one", blank_image(SHAPE), "the cup", Outcome.FOUND, (box(0, 9),))
TWO = replace(ONE, masks=(box(0, 9), box(5, 20)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id ''"),
        ({"id": "../up"}, "use letters, digits"),
        ({"id": ".hidden"}, "use letters, digits"),
        ({"id": "a b"}, "use letters, digits"),
        ({"id": "a\n"}, "use letters, digits"),
        ({"id": "x" * 121}, "at most 120"),
        ({"expected": Outcome.GAVE_UP}, "expected is gave_up"),
        ({"expected": Outcome.NOT_IN_VIEW}, "1 masks do not fit the expected outcome not_in_view"),
        ({"expected": Outcome.AMBIGUOUS}, "1 masks do not fit the expected outcome ambiguous"),
        ({"expected": None}, "1 masks do not fit the expected outcome None"),
        ({"masks": ()}, "0 masks do not fit the expected outcome found"),
        ({"masks": (box(3, 3),)}, "mask 1 is empty"),
        ({"masks": (np.ones((32, 24), dtype=np.bool_),)}, "mask 1 is 24 x 32, the image 32 x 24 pixels"),
        ({"image": np.zeros(SHAPE, dtype=np.uint8)}, r"the image is \(24, 32\) uint8"),
        ({"image": np.zeros((*SHAPE, 3), dtype=np.float32)}, "float32, not"),
        ({"depth": np.zeros((32, 24), dtype=np.float32)}, "depth is 24 x 32, the image 32 x 24"),
        ({"ignore": np.zeros((32, 24), dtype=np.bool_)}, "the ignore mask is 24 x 32, the image 32 x 24"),
        ({"camera": PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)}, "the camera is of 64 x 48, the image of 32 x 24"),
        ({"tags": ("there", "")}, "one of its tags is empty"),
        ({"expected": Outcome.NOT_IN_VIEW, "masks": (), "self_judged": True}, "marked as self-judged"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ONE, **change)


def test_the_target_is_all_masks_together() -> None:
    assert TWO.target is not None
    assert (TWO.target == box(0, 20)).all()
    assert TWO.present
    absent = replace(ONE, expected=Outcome.NOT_IN_VIEW, masks=())
    assert (absent.target, absent.present) == (None, False)


def test_the_category_is_the_first_tag() -> None:
    assert ONE.category == ""
    assert replace(ONE, tags=("relation", "for cancelling")).category == "relation"


def test_without_a_truth_no_answer_can_be_judged() -> None:
    goal = replace(ONE, expected=None, masks=())
    assert not goal.present
    with pytest.raises(ValueError, match="example one: nobody has said what is true"):
        goal.require_expected()
    assert ONE.require_expected() is Outcome.FOUND


def test_names_from_elsewhere_become_ids() -> None:
    assert as_id("..a b/ç") == "a-b--"
    with pytest.raises(ValueError, match="id ''"):
        as_id("...")
