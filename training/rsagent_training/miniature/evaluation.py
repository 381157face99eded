"""How well a policy does on scenes that it has not seen: one number per scene, and intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.scene import Scene
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_training.miniature.world import SIDE
from rsagent_training.rewards.episode import is_bad_reply
from rsagent_training.rewards.quality import trajectory_iou

AT_ONCE = 32
RESAMPLES = 10_000


@dataclass(frozen=True)
class Score:
    """What came of one scene.

    Attributes:
        iou: Quality of the answer as `trajectory_iou` has it: 1 for a right "it is not there", 0 for a wrong outcome.
        absent: Whether the thing was not there.
        turns, bad_replies: Of the episode.
    """

    iou: float
    absent: bool
    turns: int
    bad_replies: int


def evaluate(
    checkpoint: Path, scenes: Sequence[Scene], segmenter: Segmenter[Any], *, max_turns: int, max_reply_tokens: int
) -> list[Score]:
    """Play every scene once, always saying the likeliest; blocks.

    Raises:
        RunFailed: The checkpoint can't be loaded, or an episode failed.
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
        results = drive_batch(episodes, policy)
        for scene, episode, result in zip(part, episodes, results, strict=True):
            if result.outcome is Outcome.FAILED:
                raise RuntimeError(f"the episode on {scene.id} failed: {result.error_msg}")
            turns = episode.trace.turns
            scores.append(
                Score(trajectory_iou(episode.trace, scene), not scene.masks, len(turns), sum(map(is_bad_reply, turns)))
            )
    return scores


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float, float]:
    """The mean, and the 95 % interval of it by the percentile bootstrap."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Figures of one policy, with intervals as [mean, low, high]."""
    iou = np.array([score.iou for score in scores])
    absent = np.array([score.absent for score in scores])
    parts = {"all": iou, "present": iou[~absent], "absent": iou[absent]}
    return {
        **{f"iou_{name}": [round(x, 4) for x in interval(part)] for name, part in parts.items() if len(part)},
        "turns": round(float(np.mean([score.turns for score in scores])), 2),
        "bad_replies": round(float(np.mean([score.bad_replies for score in scores])), 3),
    }


def gain(after: Sequence[Score], before: Sequence[Score]) -> list[float]:
    """What was won on the same scenes, paired: [mean, low, high]."""
    difference = np.array([one.iou - other.iou for one, other in zip(after, before, strict=True)])
    return [round(x, 4) for x in interval(difference)]
