"""Judged records and the two arms of comparisons on them: what the tests of shadow mode share.

Fake models are chosen by `view_side`, the one number of a choice that fakes have no use for.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
from drawings import Drawn, draw, ground
from fakes import FINISH, SEGMENT, SEGMENT_LEFT, FakePolicy, FakeSegmenter, Hang, Slow, Step
from numpy.typing import NDArray
from recorded import STAMP, noise

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.policy import Conversation
from rsagent_ros.backends import Choice, Models
from rsagent_ros.records.record import Record, Verdict
from rsagent_ros.records.writer import RecordWriter, add_verdict
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.paired_result import PRESENT_GOALS, NonInferiority, PairedResult

RIGHT, WRONG, ALSO_WRONG, HANGS, CRASHES, RAISES, SLOW, NO_MODEL = range(100, 108)
"""Arms, as `view_side` names them: what each does about every goal."""

SCRIPTS: dict[int, Sequence[Step]] = {
    RIGHT: (SEGMENT, FINISH),
    WRONG: (SEGMENT_LEFT, FINISH),
    ALSO_WRONG: (SEGMENT_LEFT, FINISH),
    HANGS: (Hang(),),
    RAISES: (ValueError("a fault that was injected"),),
    SLOW: (SEGMENT, Slow(0.3, FINISH)),
}


def arm(view_side: int) -> CandidateModels:
    return CandidateModels(Choice(view_side=view_side))


def proof(
    incumbent: CandidateModels,
    candidate: CandidateModels,
    low: float = 0.1,
    goals: int = 30,
    present: int = PRESENT_GOALS,
) -> PairedResult:
    """The result of a comparison; by default one in which the candidate was clearly better."""
    no_worse = (NonInferiority("present", present, 0.1, 0.05), NonInferiority("wrong objects", goals, 0.0, 0.0))
    arms = incumbent.fingerprint, candidate.fingerprint
    return PairedResult(arms, 40, goals, 0, 0, 30, 0.5, 0.7, 0.2, low, 0.3, no_worse)


class Crashing(FakePolicy):
    """Takes its process along."""

    def open(self) -> Conversation:  # type: ignore[override]
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


def load_fakes(choice: Choice) -> Models:
    if choice.view_side == CRASHES:
        return Models(Crashing(), FakeSegmenter())
    if choice.view_side == NO_MODEL:
        raise FileNotFoundError("there are no weights")
    return Models(FakePolicy(SCRIPTS[choice.view_side]), FakeSegmenter(remember=False))


def hurry(pid: int | None) -> None:
    """Take a comparison's process from the end of the queue, where this machine has other things to do than test.

    Only root may.
    """
    with contextlib.suppress(psutil.Error):
        if pid is not None:
            psutil.Process(pid).nice(0)


def middle(width: int = 64, height: int = 48) -> Mask:
    """What SEGMENT finds."""
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return mask


def judged(
    folder: Path,
    goal_id: str,
    verdict: Verdict | None = None,
    *,
    image: NDArray[np.uint8] | None = None,
    instruction: str = "the thing",
    stamp_ns: int = STAMP,
) -> Path:
    """Store a goal and a verdict about it, by default that the thing is in the middle; returns the record's file."""
    frame = noise() if image is None else image
    episode = Episode(frame, instruction, FakeSegmenter(), goal_id=goal_id)
    drive(episode, FakePolicy((SEGMENT_LEFT, FINISH)))
    path = RecordWriter(folder).write(Record(goal_id, stamp_ns, "", frame, episode.trace))
    add_verdict(path, verdict or Verdict(goal_id, "operator", False, mask=middle(), stamp_ns=1))
    return path


def write_goals(folder: Path, count: int, first: int = 0) -> list[Path]:
    """So many judged goals, one a second."""
    numbers = range(first, first + count)
    return [judged(folder, f"g{number:03}", stamp_ns=STAMP + number * 10**9) for number in numbers]


def small_circle(seed: int) -> tuple[NDArray[np.uint8], Drawn]:
    """A (240, 320, 3) picture of a circle that `reference` sees with the default `view_side`, and not with 64."""
    random = np.random.default_rng(seed)
    canvas = ground("plain", random)
    return canvas, draw(canvas, "circle", "red", (80 + int(random.integers(160)), 60 + int(random.integers(120))), 6)


def write_circles(folder: Path, count: int) -> None:
    """So many goals about small circles, corrected by an operator."""
    for number in range(count):
        image, drawn = small_circle(number)
        name = f"circle-{number}"
        verdict = Verdict(name, "operator", False, mask=drawn.mask, stamp_ns=1)
        stamp = STAMP + number * 10**9
        judged(folder, name, verdict, image=image, instruction="the red circle", stamp_ns=stamp)
