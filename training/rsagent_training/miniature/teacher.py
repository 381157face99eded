"""Teacher of the miniature: it points at one thing after the other, in random order, and names what each overlay shows.

It knows the truth of what it has looked at, but no habits: its demonstrations show how to search, not where to begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN, Action, Finish, ReportAbsent, Segment, render
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Point
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.data.example import Example
from rsagent_training.miniature.world import GRID, KINDS, Figure, SearchWorld
from rsagent_training.rewards.quality import trajectory_iou
from rsagent_training.trajectories import Trajectory

TURNS = 8
"""Its limit. Demonstrations with less would always end right at the limit: a lesson to end there, right or wrong."""

REVISIT = 0.15
"""Chance that it looks again at something it has seen."""

ABSENT = "nothing fits"

_PLACES = (167, 500, 833)
"""Thousandths at which it points, along both axes: the middle of a cell."""

_TRY, _SHOWN, _NEXT, _NOWHERE, _SO = "<think>Try", "<think>That is", "; try", "; nowhere", ".</think>"


class MiniatureTeacher:
    """A policy for one scene, which says its lines one after the other.

    Attributes:
        name, pictures: As any policy's.
        lines: Its replies.
    """

    name = "miniature_teacher"

    def __init__(
        self, figures: Sequence[Figure], wanted: str, pictures: PictureFormat, rng: np.random.Generator
    ) -> None:
        self.pictures = pictures
        self.lines = list(_lines(figures, wanted, rng))

    def open(self) -> MiniatureTeacher:
        """Begin; there is one conversation."""
        self._next = 0
        return self

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """The next line."""
        line = self.lines[self._next]
        self._next += 1
        return Reply(line)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def demonstration(
    scene: Example, world: SearchWorld, pictures: PictureFormat, segmenter: Segmenter[Any], seed: int
) -> Trajectory:
    """The teacher's episode on a scene of this world."""
    rng = np.random.default_rng((seed, *scene.id.encode()))
    teacher = MiniatureTeacher(world.figures(scene), scene.instruction.removeprefix("the "), pictures, rng)
    episode = Episode(
        scene.image, scene.instruction, segmenter, Budget(seconds=1e9, max_turns=TURNS), goal_id=scene.id,
        policy_name=teacher.name, pictures=pictures,
    )  # fmt: skip
    drive(episode, teacher)
    trace = episode.trace
    learn = (True,) * len(trace.turns)
    return Trajectory(scene.id, scene.id, trace, learn, trajectory_iou(trace, scene), f"{teacher.name} seed={seed}")


def phrases() -> list[str]:
    """Texts that its replies have in common, for the tokenizer. Words are the same tokens wherever they stand."""
    parts = (render(Segment(positive=(Point(1, 1),))), render(Finish((1,))), render(ReportAbsent(ABSENT)))
    segment, finish, absent = (call.removeprefix(CALL_OPEN).removesuffix(CALL_CLOSE) for call in parts)
    places = [f"{x}, {y}" for x in _PLACES for y in _PLACES]
    return [
        _TRY, _SHOWN, _NEXT, _NOWHERE, _SO, segment.partition("1")[0], "]]}}", finish.partition("1")[0], absent,
        *(f" {kind}" for kind in KINDS), *places, *(f" {place}" for place in places),
    ]  # fmt: skip


def _lines(figures: Sequence[Figure], wanted: str, rng: np.random.Generator) -> Iterator[str]:
    left = [figures[int(number)] for number in rng.permutation(len(figures))]
    seen: list[Figure] = []
    thought, masks = _TRY, 0
    while left:
        if seen and rng.random() < REVISIT:
            figure = seen[int(rng.integers(len(seen)))]
        else:
            figure = left.pop(0)
            seen.append(figure)
        x, y = _point(figure)
        yield _line(f"{thought} {x}, {y}", Segment(positive=(Point(x, y),)))
        masks += 1
        if figure.kind == wanted:
            yield _line(f"{_SHOWN} {wanted}", Finish((masks,)))
            return
        thought = f"{_SHOWN} {figure.kind}{_NEXT}"
    yield _line(f"{thought.removesuffix(_NEXT)}{_NOWHERE}", ReportAbsent(ABSENT))


def _line(thought: str, action: Action) -> str:
    return f"{thought}{_SO}{render(action)}"


def _point(figure: Figure) -> tuple[int, int]:
    row, column = divmod(figure.cell, GRID)
    return _PLACES[column], _PLACES[row]
