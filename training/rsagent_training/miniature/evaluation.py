"""Evaluation on scenes that a policy has not seen: a few numbers for each scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.data.example import Example
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training.miniature.world import SIDE
from rsagent_training.rewards.episode import is_bad_reply
from rsagent_training.rewards.quality import trajectory_iou

AT_ONCE = 64


@dataclass(frozen=True)
class Score:
    """Result on one scene.

    Attributes:
        iou: Quality of the answer as `trajectory_iou` has it: 1 for a right "it is not there", 0 for a wrong outcome.
        absent: Whether the thing was not there.
        first: IoU of the first mask with the thing; None where there is no mask or no thing.
        turns, bad_replies: Of the episode.
    """

    iou: float
    absent: bool
    first: float | None
    turns: int
    bad_replies: int


def evaluate(
    checkpoint: Path, scenes: Sequence[Example], segmenter: Segmenter[Any], *, max_turns: int, max_reply_tokens: int
) -> list[Score]:
    """Play every scene once, always saying the likeliest; blocks.

    Raises:
        RunFailed: The checkpoint can't be loaded.
        RuntimeError: An episode failed.
    """
    policy = load_local_policy(LocalConfig(str(checkpoint), device="cpu", side=SIDE))
    budget = Budget(seconds=1e9, max_turns=max_turns, max_reply_tokens=max_reply_tokens)
    scores = []
    for begin in range(0, len(scenes), AT_ONCE):
        part = scenes[begin : begin + AT_ONCE]
        episodes = [
            Episode(scene.image, scene.instruction, segmenter, budget, goal_id=scene.id, pictures=policy.pictures)
            for scene in part
        ]
        drive_batch(episodes, policy)
        scores += [_score(scene, episode) for scene, episode in zip(part, episodes, strict=True)]
    return scores


def _score(scene: Example, episode: Episode) -> Score:
    trace = episode.trace
    if episode.result.outcome is Outcome.FAILED:
        raise RuntimeError(f"the episode on {scene.id} failed: {episode.result.error_msg}")
    mask = trace.mask(1)
    first = None if mask is None or not scene.masks else round(iou(mask, scene.masks[0]), 4)
    bad = sum(map(is_bad_reply, trace.turns))
    return Score(round(trajectory_iou(trace, scene), 4), not scene.masks, first, len(trace.turns), bad)


def columns(scores: Sequence[Score]) -> dict[str, list[Any]]:
    """For each number its values, scene by scene: as `results.json` has it."""
    rows = [asdict(score) for score in scores]
    return {name: [row[name] for row in rows] for name in rows[0]}
