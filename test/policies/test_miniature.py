"""The checkpoint that comes with the package: it loads like any other, and does in its world what the docs say."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")

import rsagent_ros
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.backends import Choice, open_models
from rsagent_ros.policies.local.policy import LocalPolicy
from rsagent_training.miniature import flat_world
from rsagent_training.rewards.quality import trajectory_iou

CHOICE = Choice(
    policy="local",
    view_side=flat_world.SIDE,
    settings={
        "local.checkpoint": str(Path(rsagent_ros.__file__).parent / "policies/miniature"),
        "local.device": "cpu",
        "local.dtype": "float32",
    },
)


def test_it_finds_what_it_was_trained_to_find() -> None:
    scenes = list(flat_world.scenes(20_261_121, 40))
    with open_models(CHOICE) as models:
        policy = models.policy
        assert isinstance(policy, LocalPolicy)
        assert (policy.name, policy.pictures.overlay) == ("local/miniature", "square")
        episodes = [
            Episode(one.image, one.instruction, models.segmenter, Budget(600, max_turns=4), pictures=policy.pictures)
            for one in scenes
        ]
        drive_batch(episodes, policy)
    ious = [trajectory_iou(episode.trace, scene) for episode, scene in zip(episodes, scenes, strict=True)]
    assert sum(ious) / len(ious) > 0.7
    assert {one.result.outcome for one in episodes} >= {"found", "not_in_view"}
