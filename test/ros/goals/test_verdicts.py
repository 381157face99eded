"""Verdicts: only about goals that are known, and only what can be true of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ros_support import image_of
from rsagent_ros.msg import Verdict
from sensor_msgs.msg import Image

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.ros.goals.verdicts import EndedGoal, Verdicts


@pytest.fixture
def verdicts() -> Verdicts:
    verdicts = Verdicts(limit=3)
    verdicts.keep("found", EndedGoal("a mug", Outcome.FOUND, (64, 48)))
    verdicts.keep("absent", EndedGoal("a mug", Outcome.NOT_IN_VIEW, (64, 48)))
    verdicts.keep("failed", EndedGoal("a mug", Outcome.FAILED, (32, 24)))
    return verdicts


def mask(width: int, height: int, value: int = 255) -> Image:
    return image_of(np.full((height, width), value, np.uint8), "mono8")


@pytest.mark.parametrize(
    "fields",
    [
        {"goal_id": "found", "accepted": True},
        {"goal_id": "found", "corrected_mask": mask(64, 48)},
        {"goal_id": "absent", "accepted": True, "absent": True},
        {"goal_id": "found", "absent": True},
        {"goal_id": "found", "absent": True, "corrected_mask": mask(64, 48, 0)},
    ],
)
def test_it_is_kept_with_its_goal(verdicts: Verdicts, fields: dict[str, Any]) -> None:
    verdict = Verdict(source=Verdict.PLANNER, **fields)
    assert verdicts.judge(verdict).verdict is verdict
    kept = verdicts.of(fields["goal_id"])
    assert kept is not None
    assert kept.verdict is verdict
    assert (verdicts.accepted, verdicts.refused) == (1, 0)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"goal_id": "unheard of"}, "no goal 'unheard of' among the last 3"),
        ({"source": 0}, "source is 0; allowed: 1, 2, 3"),
        ({"accepted": True, "absent": True}, "accepted and absent contradict each other: the goal ended as found"),
        ({"corrected_mask": mask(64, 47)}, r"corrected_mask is of \(64, 47\)"),
        ({"goal_id": "failed", "corrected_mask": mask(64, 48)}, r"the goal's image of \(32, 24\)"),
        ({"corrected_mask": Image(width=64, height=48, encoding="mono8", step=64)}, "data has 0"),
        ({"corrected_mask": Image(width=64, height=48, encoding="rgb8")}, "a mask is mono8"),
        ({"corrected_mask": mask(64, 48, 0)}, "corrected_mask is empty: set absent"),
        ({"corrected_mask": mask(64, 48), "absent": True}, "absent and corrected_mask contradict each other"),
    ],
)
def test_what_cannot_be_is_refused(verdicts: Verdicts, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        verdicts.judge(Verdict(**({"goal_id": "found", "source": Verdict.GRASP} | fields)))
    kept = verdicts.of("found")
    assert kept is not None
    assert kept.verdict is None
    assert (verdicts.accepted, verdicts.refused) == (0, 1)


def test_the_oldest_goal_is_forgotten(verdicts: Verdicts) -> None:
    verdicts.keep("fourth", EndedGoal("a mug", Outcome.FOUND, (64, 48)))
    assert verdicts.of("found") is None
    assert verdicts.of("absent") is not None
