"""Evaluation on scenes that a policy has not seen: a few numbers for each scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.data.example import Example
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score
from rsagent_training.miniature.world import SIDE
from rsagent_training.rewards.quality import answer_quality

AT_ONCE = 64


@dataclass(frozen=True)
class SceneResult:
    """Result on one scene: what tables and results.json need of its Score.

    Attributes:
        iou: Quality of the answer as `answer_quality` has it: 1 for a right "it is not there", 0 for a wrong outcome.
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
) -> list[SceneResult]:
    """Play every scene once, always saying the likeliest; blocks.

    Raises:
        RunFailed: The checkpoint can't be loaded.
        RuntimeError: An episode failed.
    """
    policy = load_local_policy(LocalConfig(str(checkpoint), device="cpu", side=SIDE))
    budget = Budget(seconds=1e9, max_turns=max_turns, max_reply_tokens=max_reply_tokens)
    results = []
    for begin in range(0, len(scenes), AT_ONCE):
        part = scenes[begin : begin + AT_ONCE]
        episodes = [
            Episode(scene.image, scene.instruction, segmenter, budget, goal_id=scene.id, pictures=policy.pictures)
            for scene in part
        ]
        drive_batch(episodes, policy)
        results += [_result(scene, episode) for scene, episode in zip(part, episodes, strict=True)]
    return results


def _result(scene: Example, episode: Episode) -> SceneResult:
    if episode.result.outcome is Outcome.FAILED:
        raise RuntimeError(f"the episode on {scene.id} failed: {episode.result.error_msg}")
    made = score(prediction_of(episode.trace), scene)
    first = None if made.first_iou is None else round(made.first_iou, 4)
    return SceneResult(round(answer_quality(made), 4), not made.present, first, made.turns, made.bad_replies)


def columns(results: Sequence[SceneResult]) -> dict[str, list[Any]]:
    """For each number its values, scene by scene: as `results.json` has it."""
    rows = [asdict(result) for result in results]
    return {name: [row[name] for row in rows] for name in rows[0]}
