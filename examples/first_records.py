#!/usr/bin/env python3
"""Records for a first training run, for who has no robot at hand: sixty goals of five days, and a verdict on each.

    python examples/first_records.py records

The pictures are drawn, so that it is known what is true of them. The embedded default looks for what is asked for, as
on a robot; the verdicts accept what is right, and correct what is not, as a person would with `rsagent label`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Choice, Models, open_models
from rsagent_ros.records.record import Record, Verdict, answer_mask
from rsagent_ros.records.writer import RecordWriter

WIDTH, HEIGHT = 224, 168
DAYS = 5
GOALS = 12
"""Goals of a day; every sixth asks for what is not there."""

FIRST_DAY = 1_762_160_400_000_000_000
"""2025-11-03 09:00 UTC, in nanoseconds."""

SECOND = 1_000_000_000
COLOURS = {
    "red": (205, 35, 40), "green": (40, 150, 60), "blue": (35, 70, 200), "yellow": (240, 210, 40),
}  # fmt: skip
GOOD = 0.9
"""IoU from which on the answer is accepted."""


@dataclass(frozen=True, eq=False)
class Goal:
    """A picture, what is asked for in it, and the (H, W) mask of that: None where it is not there."""

    image: NDArray[np.uint8]
    instruction: str
    mask: NDArray[np.bool_] | None


def draw(rng: np.random.Generator, *, absent: bool) -> Goal:
    """Three circles and squares of different colours in light and shade; one, or one of a missing colour, is wanted."""
    shades = rng.uniform(140, 235, (5, 6)).astype(np.float32)
    ground = cv2.resize(shades, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    image = np.repeat(np.clip(ground, 0, 255)[:, :, None], 3, axis=2).astype(np.uint8)
    *colours, missing = rng.permutation(sorted(COLOURS)).tolist()
    places = rng.permutation(6)[: len(colours)]
    drawn = []
    for colour, place in zip(colours, places.tolist(), strict=True):
        shape, radius = str(rng.choice(["circle", "square"])), int(rng.integers(16, 24))
        x, y = 37 + 74 * (place % 3) + int(rng.integers(-8, 9)), 44 + 80 * (place // 3) + int(rng.integers(-12, 13))
        mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        if shape == "circle":
            cv2.circle(mask, (x, y), radius, 1, -1)
        else:
            cv2.rectangle(mask, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
        image[mask > 0] = COLOURS[colour]
        drawn.append((f"the {colour} {shape}", mask > 0))
    if absent:
        return Goal(image, f"the {missing} {rng.choice(['circle', 'square'])}", None)
    words, wanted = drawn[int(rng.integers(len(drawn)))]
    return Goal(image, words, wanted)


def record(goal: Goal, name: str, stamp_ns: int, models: Models) -> Record:
    """The record of the goal's episode, with its verdict."""
    episode = Episode(
        goal.image, goal.instruction, models.segmenter,
        goal_id=name, policy_name=models.policy.name, pictures=models.policy.pictures,
    )  # fmt: skip
    drive(episode, models.policy)
    judged = verdict(goal, episode.trace, stamp_ns + 60 * SECOND)
    return Record(name, stamp_ns, "", goal.image, episode.trace, verdicts=(judged,))


def verdict(goal: Goal, trace: Trace, stamp_ns: int) -> Verdict:
    """The verdict of somebody who sees the picture."""
    if goal.mask is None:
        right = trace.outcome is Outcome.NOT_IN_VIEW
        return Verdict(trace.goal_id, "operator", right, absent=not right, stamp_ns=stamp_ns)
    found = answer_mask(trace) if trace.outcome is Outcome.FOUND else None
    right = found is not None and iou(found, goal.mask) >= GOOD
    return Verdict(trace.goal_id, "operator", right, mask=None if right else goal.mask, stamp_ns=stamp_ns)


def main() -> int:
    """Write the records; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new folder for the records")
    folder: Path = parser.parse_args().folder
    if folder.exists() and any(folder.iterdir()):
        print(f"{folder} is not empty; name a new folder", file=sys.stderr)
        return 1
    writer = RecordWriter(folder)
    accepted = 0
    with open_models(Choice()) as models:
        for number in range(DAYS * GOALS):
            day, hour = divmod(number, GOALS)
            stamp = FIRST_DAY + (day * 86_400 + hour * 900) * SECOND
            goal = draw(np.random.default_rng(number), absent=number % 6 == 5)
            made = record(goal, f"goal-{number:02d}", stamp, models)
            writer.write(made)
            accepted += made.verdicts[0].accepted
    print(f"{DAYS * GOALS} goals of {DAYS} days in {folder}, {accepted} of them accepted as they were")
    return 0


if __name__ == "__main__":
    sys.exit(main())
