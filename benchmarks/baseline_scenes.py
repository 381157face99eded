"""Reference policy and classical segmenter on simulated table tops, questions in the documented vocabulary only.

    python benchmarks/baseline_scenes.py [--seeds A:B] [--workers N] [--worst DIR]

Seeds 0:200 are held out: nothing was tuned on them, and nobody should. Whoever works on the policy looks at 1000 and
up. `--worst` writes a picture of each scene that went wrong: truth in green, answer in magenta, thoughts below.

Every scene counts. The score of one is the IoU with all that was asked for (an ambiguous answer counts with its most
confident candidate); for an absent target 1 for an empty answer; for an ambiguous goal the IoU of the most confident
candidate with the nearest thing that fits, where the answer was AMBIGUOUS, else 0. An object is wrong where FOUND is
said of something that was not meant: IoU below 0.1, or an instance that lies mostly on something else.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import textwrap
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from entry import Entry, not_here, reported
from numpy.typing import NDArray

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.data.example import Example

HELD_OUT = range(200)
WORKERS = 2
AIM = 0.80
RESAMPLES = 10_000
UNHURRIED = Budget(seconds=600.0)
"""The usual turns, and time enough: an answer must not depend on how busy the machine is."""

_WENT_WRONG = 0.5
_ELSEWHERE = 0.5
_MISSED = 0.1


@dataclass(frozen=True)
class Answer:
    """Outcome and quality of one scene.

    Attributes:
        scene: Its id.
        category, expected, instruction: Of the scene.
        outcome: Of the episode.
        score: 0..1, as the module says.
        wrong: An object that was not meant was given for found.
        turns: Replies used; seconds: from instruction to result.
    """

    scene: str
    category: str
    expected: Outcome
    instruction: str
    outcome: Outcome
    score: float
    wrong: bool
    turns: int
    seconds: float

    @property
    def right(self) -> bool:
        """Whether it ended as it should have."""
        return self.outcome is self.expected


def run() -> list[Entry]:
    """The figures over the held-out seeds; about four minutes on two cores."""
    if find_spec("mujoco") is None or find_spec("rsagent_training") is None:
        return [not_here("reference policy: gIoU", "the extra [sim] is not installed")]
    return figures(answers(HELD_OUT, WORKERS))


def answers(seeds: range, workers: int, worst: Path | None = None) -> list[Answer]:
    """One scene for each seed, categories in balance, and what the reference policy made of it.

    Args:
        seeds: Of the worlds, one after the other. A world that nothing can be asked about is replaced by a later one.
        workers: Processes, each with one thread.
        worst: Folder for pictures of the scenes that went wrong, made where it is missing; None for no pictures.
    """
    from rsagent_training.simulate import scenes

    if worst is not None:
        worst.mkdir(parents=True, exist_ok=True)
    spawned = multiprocessing.get_context("spawn")  # a fork would take the renderer's state along
    with ProcessPoolExecutor(workers, spawned, cv2.setNumThreads, (1,)) as pool:
        made = scenes(seeds.start, len(seeds), vocabulary="plain")
        jobs = [pool.submit(answered, replace(scene, depth=None), worst) for scene in made]
        return [job.result() for job in jobs]


def answered(scene: Example, worst: Path | None = None) -> Answer:
    """Runs one episode on a scene."""
    policy = ReferencePolicy()
    episode = Episode(
        scene.image, scene.instruction, ClassicalSegmenter(), UNHURRIED, pictures=policy.pictures, goal_id=scene.id
    )
    result = drive(episode, policy)
    answer = Answer(
        scene.id,
        scene.category,
        scene.require_expected(),
        scene.instruction,
        result.outcome,
        score(scene, result),
        wrong_object(scene, result),
        result.turns,
        result.total_seconds,
    )
    if worst is not None and (not answer.right or answer.score < _WENT_WRONG):
        name = f"{100 * answer.score:03.0f}-{scene.category}-{scene.id}.png"
        cv2.imwrite(str(worst / name), cv2.cvtColor(_picture(scene, result, episode.trace), cv2.COLOR_RGB2BGR))
    return answer


def score(scene: Example, result: Result) -> float:
    """Quality of the answer to a scene, 0..1, as the module says."""
    if result.outcome is Outcome.FAILED:
        return 0.0
    best = max(result.candidates, key=lambda candidate: candidate.confidence, default=None)
    given = best.mask if best is not None else result.mask()
    match scene.expected:
        case Outcome.NOT_IN_VIEW:
            return float(given is None)
        case Outcome.AMBIGUOUS:
            return max(iou(best.mask, mask) for mask in scene.masks) if best is not None else 0.0
        case _:
            return 0.0 if given is None else iou(given, _meant(scene))


def wrong_object(scene: Example, result: Result) -> bool:
    """Whether FOUND was said of something that was not meant."""
    if result.outcome is not Outcome.FOUND:
        return False
    meant = _meant(scene)
    off = [np.count_nonzero(one.mask & ~meant) / np.count_nonzero(one.mask) for one in result.instances]
    # For an ambiguous goal each thing that fits is meant as far as this is concerned.
    overlap = max((iou(one.mask, mask) for one in result.instances for mask in scene.masks), default=0.0)
    return bool(max(off) > _ELSEWHERE or overlap < _MISSED)


def _meant(scene: Example) -> Mask:
    return np.asarray(np.logical_or.reduce([np.zeros(scene.image.shape[:2], np.bool_), *scene.masks]))


def figures(given: Sequence[Answer]) -> list[Entry]:
    """The figures over some answers, each with its 95 % interval."""
    present = [one for one in given if one.expected is Outcome.FOUND]
    absent = [one for one in given if one.expected is Outcome.NOT_IN_VIEW]
    unclear = [one for one in given if one.expected is Outcome.AMBIGUOUS]
    overall = _mean("reference policy: gIoU", given, lambda one: one.score)
    if overall.value is not None:
        overall = replace(overall, target=f">= {AIM:g}", ok=overall.value >= AIM)
    seconds = [one.seconds for one in given]
    return [
        overall,
        _mean("reference policy: gIoU where the target is in view", present, lambda one: one.score),
        _mean("reference policy: N-acc, absent answered NOT_IN_VIEW", absent, lambda one: one.right),
        _mean("reference policy: T-acc, present not answered NOT_IN_VIEW", present, _not_denied),
        _mean("reference policy: ambiguous answered AMBIGUOUS", unclear, lambda one: one.right),
        _mean("reference policy: wrong object given for found", given, lambda one: one.wrong),
        reported(
            "reference policy: seconds a goal, median",
            float(np.median(seconds)),
            "s",
            f"640x480, one thread; slowest {max(seconds):.1f}",
        ),
    ]


def _not_denied(one: Answer) -> bool:
    return one.outcome is not Outcome.NOT_IN_VIEW


def _mean(name: str, given: Sequence[Answer], value: Callable[[Answer], float]) -> Entry:
    """A mean over answers, with the interval that 95 % of bootstrap resamples fall into."""
    if not given:
        return not_here(name, "no such scene among these seeds")
    values = np.array([float(value(one)) for one in given])
    chosen = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), (2.5, 97.5))
    return reported(name, float(values.mean()), "", f"95 % interval {low:.3f} to {high:.3f}, {len(values)} scenes")


def table(given: Sequence[Answer]) -> str:
    """One line for each category."""
    lines = [f"{'category':<10} {'scenes':>6} {'gIoU':>6} {'right':>6} {'wrong':>6} {'turns':>6} {'seconds':>8}"]
    for category in sorted({one.category for one in given}):
        some = [one for one in given if one.category == category]
        means = np.mean([(one.score, one.right, one.wrong, one.turns, one.seconds) for one in some], axis=0)
        lines.append("{:<10} {:>6} {:>6.3f} {:>6.3f} {:>6.3f} {:>6.1f} {:>8.2f}".format(category, len(some), *means))
    return "\n".join(lines)


def _picture(scene: Example, result: Result, trace: Trace) -> NDArray[np.uint8]:
    """The scene, with what was meant, what came back, and what was thought."""
    picture = scene.image.copy()
    found = [one.mask for one in (*result.instances, *result.candidates)]
    for masks, colour, width in ((scene.masks, (0, 255, 0), 3), (found, (255, 0, 255), 1)):
        for mask in masks:
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, outlines, -1, colour, width)
    told = [f"{scene.instruction}: {scene.expected}, answered {result.outcome} {result.question}{result.reason}"]
    told += [turn.thought for turn in trace.turns]
    lines = [line for text in told for line in textwrap.wrap(text, 100)]
    caption = np.full((18 * len(lines) + 8, picture.shape[1], 3), 255, np.uint8)
    for row, line in enumerate(lines):
        cv2.putText(caption, line, (6, 16 + 18 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([picture, caption])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table by category, the scenes that went wrong, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=span, default=HELD_OUT, metavar="A:B", help="worlds (default: 0:200)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes (default: 2)")
    parser.add_argument("--worst", type=Path, metavar="DIR", help="where to put pictures of what went wrong")
    options = parser.parse_args(argv)
    given = answers(options.seeds, options.workers, options.worst)
    for one in sorted(given, key=lambda one: (one.category, one.score)):
        if not one.right or one.score < _WENT_WRONG:
            mark = "WRONG OBJECT" if one.wrong else ""
            print(f"{one.scene}  {one.score:.2f}  {one.expected} -> {one.outcome}  {one.instruction}  {mark}")
    print(table(given))
    for entry in figures(given):
        print(f"{entry.name}: {entry.value} {entry.unit} ({entry.note})")
    return 0


def span(text: str) -> range:
    """Seeds as FIRST:LAST, the last one left out."""
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST:LAST, such as 1000:1200")
    return range(int(first), int(last))


if __name__ == "__main__":
    sys.exit(main())
