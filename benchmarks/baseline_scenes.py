"""Reference policy and classical segmenter on simulated table tops, questions in the documented vocabulary only.

    python benchmarks/baseline_scenes.py [--seeds A:B] [--vocabulary plain|full] [--workers N] [--worst DIR]

Seeds 0:200 are held out: nothing was tuned on them, and nobody should. Work on the policy with 1000 and up. `--worst`
writes a picture of each scene that went wrong: truth in green, answer in magenta, thoughts below. Every scene counts;
scores and figures are those of docs/evaluation.md.

The full vocabulary has household things and their uses, whose names the policy does not know: of goals that name one,
none may be answered with FOUND on another object.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from entry import Entry, not_here, reported
from numpy.typing import NDArray

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.policy.vocabulary import NOUN_OF
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.intervals import intervals
from rsagent_ros.scoring.metrics import RATIOS, by_category, values
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import Score, score

Made = TypeVar("Made")
HELD_OUT = range(200)
UNKNOWN_NOUNS = range(150)
"""Held-out worlds of the full vocabulary."""

WORKERS = 2
AIM = 0.80
FIGURES = ("giou", "value", "right", "n_acc_strict", "wrong_absent", "clarification_rate", "wrong_object")
COLUMNS = ("giou", "value", "right", "wrong_object", "turns")
UNHURRIED = Budget(seconds=600.0)
"""The usual turns, and time enough: an answer must not depend on how busy the machine is."""


@dataclass(frozen=True)
class Scored:
    """The score of one scene, and the seconds from instruction to result."""

    score: Score
    seconds: float


def run() -> list[Entry]:
    """The figures over the held-out seeds; about four minutes on two cores."""
    if find_spec("mujoco") is None or find_spec("rsagent_training") is None:
        return [not_here("reference policy: gIoU", "the extra [sim] is not installed")]
    return [*figures(answers(HELD_OUT, WORKERS)), unknown_nouns(answers(UNKNOWN_NOUNS, WORKERS, vocabulary="full"))]


def answers(
    seeds: range, workers: int, worst: Path | None = None, *, vocabulary: Literal["plain", "full"] = "plain"
) -> list[Scored]:
    """Answer one scene for each seed, categories in balance.

    Args:
        seeds: Of the worlds, one after the other. A world that nothing can be asked about is replaced by a later one.
        workers: Processes, each with one thread.
        worst: Folder for pictures of the scenes that went wrong, made where it is missing; None for no pictures.
        vocabulary: The simulator's.
    """
    if worst is not None:
        worst.mkdir(parents=True, exist_ok=True)
    return in_processes(partial(_answered, worst=worst), seeds, workers, vocabulary)


def in_processes(
    work: Callable[[Example, int], Made], seeds: range, workers: int, vocabulary: Literal["plain", "full"] = "plain"
) -> list[Made]:
    """Results of work on each simulated scene and its number from 0, in order; each process has one thread."""
    from rsagent_training.simulate import scenes

    spawned = multiprocessing.get_context("spawn")  # a fork would take the renderer's state along
    with ProcessPoolExecutor(workers, spawned, cv2.setNumThreads, (1,)) as pool:
        made = scenes(seeds.start, len(seeds), vocabulary=vocabulary)
        jobs = [pool.submit(work, replace(scene, depth=None), number) for number, scene in enumerate(made)]
        return [job.result() for job in jobs]


def _answered(scene: Example, _number: int, worst: Path | None) -> Scored:
    return answered(scene, worst)


def answered(scene: Example, worst: Path | None = None) -> Scored:
    """Run one episode on a scene, and score it."""
    policy = ReferencePolicy()
    episode = Episode(
        scene.image, scene.instruction, ClassicalSegmenter(), UNHURRIED, pictures=policy.pictures, goal_id=scene.id
    )
    result = drive(episode, policy)
    scored = score(prediction_of(episode.trace), scene)
    if worst is not None and not scored.right:
        name = f"{100 * scored.iou:03.0f}-{scene.category}-{scene.id}.png"
        cv2.imwrite(str(worst / name), cv2.cvtColor(_picture(scene, result, episode.trace), cv2.COLOR_RGB2BGR))
    return Scored(scored, result.total_seconds)


def figures(given: Sequence[Scored]) -> list[Entry]:
    """The figures over some answers, each with its 95 % interval."""
    entries = []
    found = intervals([one.score for one in given], 0)
    for name in FIGURES:
        title, figure = f"reference policy: {RATIOS[name].title}", found[name]
        if figure.value is None:
            entries.append(not_here(title, "no such scene among these seeds"))
            continue
        width = "" if figure.low is None else f"95 % interval {figure.low:.3f} to {figure.high:.3f}, "
        entry = reported(title, figure.value, "", f"{width}{figure.over:.0f} scenes")
        aimed = name == "giou"
        entries.append(replace(entry, target=f">= {AIM:g}", ok=figure.value >= AIM) if aimed else entry)
    seconds = [one.seconds for one in given]
    note = f"640x480, one thread; slowest {max(seconds):.1f}"
    return [*entries, reported("reference policy: seconds a goal, median", float(np.median(seconds)), "s", note)]


def unknown_nouns(given: Sequence[Scored]) -> Entry:
    """The goals that name a thing or a use beyond the policy's words, and were answered with another object."""
    from rsagent_training.simulation.catalogue import NOUNS

    unknown = {word for noun in NOUNS.values() for word in (noun.word, noun.plural) if noun.word not in NOUN_OF}
    named = [
        one.score
        for one in given
        if "something to" in one.score.instruction or unknown & set(one.score.instruction.split())
    ]
    ends = ", ".join(f"{count} {end}" for end, count in Counter(one.outcome.value for one in named).most_common())
    wrong = sum(one.wrong_object for one in named)
    entry = reported("reference policy: FOUND on another object through an unknown noun", wrong, "", "")
    return replace(entry, target="0", ok=wrong == 0, note=f"{len(named)} of {len(given)} goals name one: {ends}")


def table(given: Sequence[Scored]) -> str:
    """One line for each category."""
    lines = [f"{'category':<10} {'scenes':>6} {' '.join(f'{RATIOS[name].title:>12}' for name in COLUMNS)}"]
    for category, scores in by_category([one.score for one in given]).items():
        means = values(scores)
        lines.append(f"{category:<10} {len(scores):>6} {' '.join(f'{means[name]:>12.3f}' for name in COLUMNS)}")
    return "\n".join(lines)


def _picture(scene: Example, result: Result, trace: Trace) -> NDArray[np.uint8]:
    """The scene with the truth, the answer, and the thoughts."""
    picture = scene.image.copy()
    found = [one.mask for one in (*result.instances, *result.candidates)]
    for masks, colour, width in ((scene.masks, (0, 255, 0), 3), (found, (255, 0, 255), 1)):
        for mask in masks:
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, outlines, -1, colour, width)
    texts = [f"{scene.instruction}: {scene.expected}, answered {result.outcome} {result.question}{result.reason}"]
    texts += [turn.thought for turn in trace.turns]
    lines = [line for text in texts for line in textwrap.wrap(text, 100)]
    caption = np.full((18 * len(lines) + 8, picture.shape[1], 3), 255, np.uint8)
    for row, line in enumerate(lines):
        cv2.putText(caption, line, (6, 16 + 18 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([picture, caption])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the scenes that went wrong, the table by category, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=span, default=HELD_OUT, metavar="A:B", help="worlds (default: 0:200)")
    parser.add_argument("--vocabulary", choices=("plain", "full"), default="plain", help="(default: plain)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes (default: 2)")
    parser.add_argument("--worst", type=Path, metavar="DIR", help="where to put pictures of what went wrong")
    options = parser.parse_args(argv)
    given = answers(options.seeds, options.workers, options.worst, vocabulary=options.vocabulary)
    for one in sorted((one.score for one in given), key=lambda one: (one.category, one.iou)):
        if not one.right:
            mark = "WRONG OBJECT" if one.wrong_object else ""
            print(f"{one.id}  {one.iou:.2f}  {one.expected} -> {one.outcome}  {one.instruction}  {mark}")
    print(table(given))
    for entry in [*figures(given), *([unknown_nouns(given)] if options.vocabulary == "full" else [])]:
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
