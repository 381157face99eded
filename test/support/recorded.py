"""Records of episodes with the fakes: what the tests of records, bags and replay share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from fakes import MALFORMED, POLICY_SCRIPTS, FakePolicy, FakeSegmenter, Step
from numpy.typing import NDArray

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.records.record import Record

STAMP = 1_763_735_712_123_456_789
"""2025-11-21 14:35:12.123456789 UTC."""

CAMERA = PinholeCamera(64, 48, 60.0, 61.0, 31.5, 23.5)


def noise(width: int = 64, height: int = 48, seed: int = 0) -> NDArray[np.uint8]:
    """A (H, W, 3) picture that no lossy format would keep."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def depth_map(width: int = 64, height: int = 48) -> NDArray[np.float32]:
    """(H, W) metres that no 16 bits would keep, with what sensors leave open."""
    depth = np.random.default_rng(1).uniform(0.3, 4.0, (height, width)).astype(np.float32)
    depth[0, :3] = np.nan, np.inf, 0.0
    return depth


def recorded(
    script: Sequence[Step] = POLICY_SCRIPTS["instant"],
    goal_id: str = "goal-1",
    segmenter: FakeSegmenter | None = None,
    budget: Budget | None = None,
    looks: Sequence[Step] = (MALFORMED,),
    **fields: Any,
) -> Record:
    """The record of an episode that the fakes play."""
    image = fields.pop("image", noise())
    policy = FakePolicy(script, looks=looks)
    episode = Episode(
        image,
        "the thing in the middle",
        segmenter or FakeSegmenter(),
        budget,
        goal_id=goal_id,
        policy_name=policy.name,
        pictures=policy.pictures,
    )
    drive(episode, policy)
    return Record(
        **{"goal_id": goal_id, "stamp_ns": STAMP, "camera": "", "image": image, "trace": episode.trace} | fields
    )
