"""Who shows the miniature how it is done: it sees the truth, says few words, and makes mistakes that it then corrects.

Mistakes carry no loss (`learn`): what is learned is to notice and to put right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Action, Finish, ReportAbsent, Segment, render
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import EXTENT, Point
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.agent.scene import Scene
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_training.rewards.quality import trajectory_iou
from rsagent_training.trajectories import Trajectory

MISTAKES = 0.35
"""Share of episodes that begin with one."""

_PLACES = (200, 500, 800)
"""Thousandths at which it points, along both axes: near the middle of a cell, and little to learn."""


class Teacher:
    """A policy for one scene, which says its lines one after the other.

    Attributes:
        name, pictures: As any policy's.
        lines: What it says, and whether it is to be learned.
    """

    name = "miniature_teacher"

    def __init__(self, scene: Scene, pictures: PictureFormat, rng: np.random.Generator) -> None:
        self.pictures = pictures
        self.lines = list(_lines(scene, rng))

    def open(self) -> Teacher:
        """Begin; there is one conversation."""
        self._said = 0
        return self

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """The next line."""
        line = self.lines[self._said][0]
        self._said += 1
        return Reply(line)

    def close(self) -> None:
        """Nothing is held."""


def lesson(scene: Scene, pictures: PictureFormat, segmenter: Segmenter[Any], seed: int) -> Trajectory:
    """What the teacher does about a scene."""
    teacher = Teacher(scene, pictures, np.random.default_rng((seed, *scene.id.encode())))
    episode = Episode(
        scene.image, scene.instruction, segmenter, Budget(seconds=1e9), goal_id=scene.id, policy_name=teacher.name,
        pictures=pictures,
    )  # fmt: skip
    drive(episode, teacher)
    trace = episode.trace
    learn = tuple(learned for _, learned in teacher.lines)[: len(trace.turns)]
    return Trajectory(scene.id, scene.id, trace, learn, trajectory_iou(trace, scene), f"{teacher.name} seed={seed}")


def phrases() -> list[str]:
    """What its replies have in common, for the tokenizer."""
    return [
        "<think>There is the ", "<think>No: there is the ", "<think>That is the ", "<think>There is no ", ".</think>",
        render(Segment(positive=(Point(1, 1),))).split("1")[0], "]]}}", render(Finish((1,))).split("1")[0],
        render(ReportAbsent("nothing fits")),
    ]  # fmt: skip


def _lines(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[str, bool]]:
    words = scene.instruction.removeprefix("the ")
    made = 0
    if rng.random() < MISTAKES:
        yield _line(f"There is the {words}", Segment(positive=(_elsewhere(scene, rng),))), False
        made += 1
    if scene.expected is Outcome.NOT_IN_VIEW:
        yield _line(f"There is no {words}", ReportAbsent("nothing fits")), True
        return
    opening = "No: there" if made else "There"
    yield _line(f"{opening} is the {words}", Segment(positive=(_middle(scene.masks[0]),))), True
    yield _line(f"That is the {words}", Finish((made + 1,))), True


def _line(thought: str, action: Action) -> str:
    return f"<think>{thought}.</think>{render(action)}"


def _middle(mask: Mask) -> Point:
    rows, columns = np.nonzero(mask)
    return _near(columns.mean() / mask.shape[1], rows.mean() / mask.shape[0])


def _elsewhere(scene: Scene, rng: np.random.Generator) -> Point:
    """A point that is not on what is meant: on something coloured where there is something."""
    strange: NDArray[np.bool_] = np.ones(scene.image.shape[:2], dtype=np.bool_)
    for mask in scene.masks:
        strange &= ~mask
    coloured = strange & (np.ptp(scene.image.astype(np.int16), axis=2) > 80)
    rows, columns = np.nonzero(coloured if coloured.any() else strange)
    place = int(rng.integers(len(rows)))
    return _near(columns[place] / strange.shape[1], rows[place] / strange.shape[0])


def _near(x: float, y: float) -> Point:
    return Point(_place(x), _place(y))


def _place(share: float) -> int:
    return min(_PLACES, key=lambda place: abs(place - share * EXTENT))
