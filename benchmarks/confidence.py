"""Does the confidence mean what it says? Before and after calibration, on simulated scenes that it was not fitted to.

    python benchmarks/confidence.py

Reference policy and classical segmenter, the whole vocabulary of goals (much of which this policy does not understand:
it is to be wrong at times). Fitted to seeds from 5000 and from 6000 on, measured on seeds from 0 on, which are held
out. Counted are the answers FOUND, right as `Score.right` has it.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
from entry import Entry, not_here, reported

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.confidence.calibrate import JudgedAnswer, calibrate, vectors
from rsagent_ros.confidence.calibration import raw_confidence
from rsagent_ros.confidence.judged import judged_answer
from rsagent_ros.confidence.measures import kept, worth
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score

FITTED = ((5000, 130), (6000, 80))
HELD_OUT = (0, 150)
THRESHOLDS = (0.5, 0.7, 0.8)


def run() -> list[Entry]:
    """Measure; some minutes."""
    if find_spec("mujoco") is None:
        return [not_here("confidence", "needs MuJoCo: pip install -e '.[sim]'")]
    fitted = [answer for part in FITTED for answer in answers(*part)]
    return measured(fitted, answers(*HELD_OUT))


def answers(seed: int, count: int) -> list[JudgedAnswer]:
    """Answers of the reference policy to that many scenes, and whether they are right."""
    from rsagent_training.simulate import scenes

    policy, segmenter = ReferencePolicy(), ClassicalSegmenter()
    found = []
    for scene in scenes(seed, count):
        budget = Budget(seconds=600.0)
        episode = Episode(
            scene.image, scene.instruction, segmenter, budget, policy_name=policy.name, pictures=policy.pictures
        )
        drive(episode, policy)
        answer = judged_answer(score(prediction_of(episode.trace), scene), episode.trace)
        if answer is not None:
            found.append(answer)
    return found


def measured(fitted: list[JudgedAnswer], unseen: list[JudgedAnswer]) -> list[Entry]:
    """The entries: three measures before and after, and what thresholds keep."""
    calibration = calibrate(fitted)
    evidence = vectors(unseen)
    right = np.array([answer.right for answer in unseen])
    before, after = raw_confidence(evidence), calibration.confidences(evidence)
    note = f"{len(unseen)} answers FOUND, {right.mean():.0%} right; fitted to {len(fitted)} others"
    entries = []
    for name, words in (("ece", "calibration error"), ("brier", "Brier score"), ("aurc", "risk-coverage area")):
        old, new = getattr(worth(before, right), name), getattr(worth(after, right), name)
        entries += [reported(f"{words}, before", old, "", note), reported(f"{words}, {calibration.kind}", new, "")]
    for threshold in THRESHOLDS:
        share, good = kept(after, right, threshold)
        remark = "none kept" if good is None else f"{good:.0%} of them right"
        entries.append(reported(f"answers kept by a threshold of {threshold:g}", 100 * share, "%", remark))
    return entries


if __name__ == "__main__":
    for entry in run():
        print(entry)
