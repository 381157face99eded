"""The policy that comes with the package: it loads by its name, and does in its small world what the docs say."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.backends import Choice, open_models
from rsagent_ros.policies.local.policy import LocalPolicy
from rsagent_ros.policies.miniature import SIDE
from rsagent_training.miniature import world
from rsagent_training.rewards.quality import trajectory_iou


def test_it_finds_what_it_was_trained_to_find() -> None:
    assert SIDE == world.SIDE
    scenes = list(world.scenes(20_261_121, 40, "mixed"))
    with open_models(Choice(policy="miniature")) as models:
        policy = models.policy
        assert isinstance(policy, LocalPolicy)
        assert policy.name == "local/miniature"
        episodes = [
            Episode(one.image, one.instruction, models.segmenter, Budget(600, max_turns=4), pictures=policy.pictures)
            for one in scenes
        ]
        drive_batch(episodes, policy)
    ious = [trajectory_iou(episode.trace, scene) for episode, scene in zip(episodes, scenes, strict=True)]
    assert sum(ious) / len(ious) > 0.7
    assert {one.result.outcome for one in episodes} >= {"found", "not_in_view"}


def test_it_can_stand_in_for_a_server() -> None:
    assert Choice(policy="chat_server", fallback_policy="miniature").fallback_policy == "miniature"
