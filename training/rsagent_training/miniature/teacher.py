"""Teacher of the miniature: it sees the truth, says few words, and makes mistakes that it then corrects.

Mistakes carry no loss (`learn`): what is learned is to notice and to put right.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from rsagent_training.miniature.world import COLOURS, GRID, SHAPES, Figure, figures_of
from rsagent_training.rewards.quality import trajectory_iou
from rsagent_training.trajectories import Trajectory

MISTAKES = 0.35
"""Share of episodes that begin with one."""

ABSENT = "nothing fits"

_PLACES = (167, 500, 833)
"""Thousandths at which it points, along both axes: the middle of a cell."""

_SEES, _SHOWN, _SO, _NOWHERE = "<think>I see", "<think>That is", "; so", "nowhere"


class MiniatureTeacher:
    """A policy for one scene, which says its lines one after the other.

    Attributes:
        name, pictures: As any policy's.
        lines: What it says, and whether it is to be learned.
    """

    name = "miniature_teacher"

    def __init__(self, scene: Example, pictures: PictureFormat, rng: np.random.Generator) -> None:
        self.pictures = pictures
        self.lines = list(_lines(scene, rng))

    def open(self) -> MiniatureTeacher:
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


def lesson(scene: Example, pictures: PictureFormat, segmenter: Segmenter[Any], seed: int) -> Trajectory:
    """The teacher's episode on a scene."""
    teacher = MiniatureTeacher(scene, pictures, np.random.default_rng((seed, *scene.id.encode())))
    episode = Episode(
        scene.image, scene.instruction, segmenter, Budget(seconds=1e9), goal_id=scene.id, policy_name=teacher.name,
        pictures=pictures,
    )  # fmt: skip
    drive(episode, teacher)
    trace = episode.trace
    learn = tuple(learned for _, learned in teacher.lines)[: len(trace.turns)]
    return Trajectory(scene.id, scene.id, trace, learn, trajectory_iou(trace, scene), f"{teacher.name} seed={seed}")


def phrases() -> list[str]:
    """Texts that its replies have in common, for the tokenizer. Words are the same tokens wherever they stand."""
    parts = (render(Segment(positive=(Point(1, 1),))), render(Finish((1,))), render(ReportAbsent(ABSENT)))
    segment, finish, absent = (call.removeprefix(CALL_OPEN).removesuffix(CALL_CLOSE) for call in parts)
    places = [f"{x}, {y}" for x in _PLACES for y in _PLACES]
    return [
        _SEES, _SHOWN, _SO, ".</think>", segment.partition("1")[0], "]]}}", finish.partition("1")[0], absent,
        *(f" {word}" for word in (*COLOURS, *SHAPES)), *places, *(f" at {place}" for place in (*places, _NOWHERE)),
    ]  # fmt: skip


def _lines(scene: Example, rng: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """Its replies, and whether each is to be learned.

    It names all that it sees with its place before it looks up in that list what was asked for, and what the overlay
    shows before it accepts. That is what makes so small a network learn: no step asks for more than one thing.
    """
    things = figures_of(scene)
    wanted = scene.instruction.removeprefix("the ")
    found = [thing for thing in things if thing.words == wanted]
    others = [thing for thing in things if thing.words != wanted]
    before = f"{_SEES}{''.join(f' {thing.words} at {_place(thing)}' for thing in things)}"
    made = 0
    if others and rng.random() < MISTAKES:
        wrong = others[int(rng.integers(len(others)))]
        # It believes that it points at what is wanted: what the overlay shows has to be seen, not copied from there.
        yield _line(f"{before}{_SO} {wanted} at {_place(wrong)}", _pointing(wrong)), False
        made += 1
        before = f"{_SHOWN} {wrong.words}"
    if not found:
        yield _line(f"{before}{_SO} {wanted} at {_NOWHERE}", ReportAbsent(ABSENT)), True
        return
    yield _line(f"{before}{_SO} {wanted} at {_place(found[0])}", _pointing(found[0])), True
    yield _line(f"{_SHOWN} {wanted}", Finish((made + 1,))), True


def _line(thought: str, action: Action) -> str:
    return f"{thought}.</think>{render(action)}"


def _pointing(thing: Figure) -> Segment:
    return Segment(positive=(Point(*_point(thing)),))


def _place(thing: Figure) -> str:
    x, y = _point(thing)
    return f"{x}, {y}"


def _point(thing: Figure) -> tuple[int, int]:
    row, column = divmod(thing.cell, GRID)
    return _PLACES[column], _PLACES[row]
