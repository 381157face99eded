"""Evaluation on scenes that a policy has not seen: a few numbers for each scene, under each limit of turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.data.example import Example
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_ros.policies.local.policy import LocalPolicy
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score
from rsagent_training.miniature.world import SIDE
from rsagent_training.rewards.quality import answer_quality

AT_ONCE = 64

LETTERS = {Outcome.FOUND: "F", Outcome.NOT_IN_VIEW: "N", Outcome.AMBIGUOUS: "A", Outcome.GAVE_UP: "G"}
"""Outcomes in results.json."""


@dataclass(frozen=True)
class SceneResult:
    """Result on one scene: what tables and results.json need of its Score.

    Attributes:
        iou: Quality of the answer as `answer_quality` has it: 1 for a right "it is not there", 0 for a wrong outcome.
        right: Whether it was right, as in Score.
        outcome: Its letter.
        absent: Whether the thing was not there.
        wrong_found: Whether another thing was called found.
        turns, bad_replies: Of the episode.
    """

    iou: float
    right: bool
    outcome: str
    absent: bool
    wrong_found: bool
    turns: int
    bad_replies: int


def load_policy(checkpoint: Path) -> LocalPolicy:
    """The policy of a checkpoint, as the robot loads it, always saying the likeliest.

    Raises:
        RunFailed: The checkpoint can't be loaded.
    """
    return load_local_policy(LocalConfig(str(checkpoint), device="cpu", side=SIDE))


def evaluate(
    policy: LocalPolicy, scenes: Sequence[Example], segmenter: Segmenter[Any], *, max_turns: int, max_reply_tokens: int
) -> list[SceneResult]:
    """Play every scene once; blocks.

    Raises:
        RuntimeError: An episode failed.
    """
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
    return SceneResult(
        iou=round(answer_quality(made), 3),
        right=made.right,
        outcome=LETTERS[made.outcome],
        absent=not made.present,
        wrong_found=made.wrong_object,
        turns=made.turns,
        bad_replies=made.bad_replies,
    )


def columns(results: Sequence[SceneResult]) -> dict[str, Any]:
    """For each number its values, scene by scene, as `results.json` has it.

    What is one character for every scene is one text: outcomes, yes (1) or no (0), and counts in base 36.
    """
    return {
        "iou": [one.iou for one in results],
        "outcome": "".join(one.outcome for one in results),
        "right": _digits([one.right for one in results]),
        "absent": _digits([one.absent for one in results]),
        "wrong_found": _digits([one.wrong_found for one in results]),
        "turns": _digits([one.turns for one in results]),
        "bad_replies": _digits([one.bad_replies for one in results]),
    }


def _digits(counts: Sequence[int]) -> str:
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[count] for count in counts)
