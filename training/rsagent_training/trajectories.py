"""Trajectories: episodes to learn from. One trace each, which of its turns are worth learning, and how it ended.

    write_trajectories(folder, pairs)                       # pairs of an Example and a Trajectory
    for scene, trajectory in read_trajectories(folder):
        chat = trajectory.trace.messages(scene.image)       # the pictures are drawn again from the scene's image

A folder of trajectories holds `scenes/` (as `data.folder` writes them; one scene may have several trajectories) and
`trajectories.jsonl`, one line each.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from rsagent_ros.agent.errors import plain
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import ExampleFacts, save_examples
from rsagent_training.scene_index import SceneIndex

VERSION = 1
"""Version of a line of trajectories.jsonl; the trace in it has a version of its own."""

ROWS = "trajectories.jsonl"
SCENES = "scenes"

Found = TypeVar("Found")


@dataclass(frozen=True)
class Trajectory:
    """One episode to learn from.

    Attributes:
        id: Unique in its set; letters, digits, '.', '_' and '-'.
        scene_id: The scene it is about.
        trace: What happened, word for word.
        learn: For each turn, whether its reply carries loss. False for a mistake that was made on purpose and for a
            reply that could not be read: the correction is learned, not the mistake.
        iou: How good the answer is, 0..1: IoU of the final mask with the truth; 1 for a right NOT_IN_VIEW; of an
            AMBIGUOUS answer the mean IoU of its candidates with the things they stand for.
        source: Who made it and how, in words.

    Raises:
        ValueError: The parts contradict each other.
    """

    id: str
    scene_id: str
    trace: Trace
    learn: tuple[bool, ...]
    iou: float
    source: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", self.id) or self.id.startswith("."):
            raise ValueError(f"trajectory id {self.id!r}: use letters, digits, '.', '_' and '-', at most 200")
        if not self.trace.turns:
            raise ValueError(f"trajectory {self.id}: its trace has no turn, so there is nothing to learn from it")
        if len(self.learn) != len(self.trace.turns):
            raise ValueError(
                f"trajectory {self.id}: learn has {len(self.learn)} entries for {len(self.trace.turns)} turns"
            )
        if not any(self.learn):
            raise ValueError(f"trajectory {self.id}: no turn of it carries loss, so there is nothing to learn from it")
        if not 0.0 <= self.iou <= 1.0:
            raise ValueError(f"trajectory {self.id}: iou is {self.iou}; it must be 0 to 1")


@dataclass(frozen=True)
class _Versioned:
    version: int


@dataclass(frozen=True)
class _Line:
    """One line of trajectories.jsonl."""

    version: int
    id: str
    scene_id: str
    learn: tuple[bool, ...]
    iou: float
    source: str
    trace: msgspec.Raw


def write_trajectories(folder: Path, pairs: Iterable[tuple[Example, Trajectory]]) -> int:
    """Write trajectories as they come; blocks until `pairs` ends. Returns how many were written.

    A scene is written with its first trajectory. trajectories.jsonl gets its name only when all is written: a folder
    that a killed run left is not taken for a whole one.

    Raises:
        FileExistsError: The folder holds trajectories or scenes already; nothing is overwritten.
        ValueError: A trajectory that is not of its scene, or an id twice.
    """
    rows = folder / ROWS
    if rows.exists():
        raise FileExistsError(f"{rows} exists already, not overwriting; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{ROWS}.partial"
    if partial.exists():  # it was broken off before, perhaps between the scenes and the trajectories
        with contextlib.suppress(FileNotFoundError):
            (folder / SCENES / "scenes.jsonl").rename(folder / SCENES / "scenes.jsonl.partial")
    written: set[str] = set()
    with partial.open("wb") as out:

        def scenes() -> Iterator[Example]:
            seen: set[str] = set()
            for scene, trajectory in pairs:
                check_pair(scene, trajectory)
                if trajectory.id in written:
                    raise ValueError(f"trajectory {trajectory.id}: there are two of this id")
                if scene.id not in seen:
                    seen.add(scene.id)
                    yield scene
                out.write(to_line(trajectory))
                written.add(trajectory.id)

        save_examples(scenes(), folder / SCENES)
    partial.replace(rows)
    return len(written)


def read_trajectories(folder: Path) -> Iterator[tuple[Example, Trajectory]]:
    """Read trajectories in the order they were written, with their scenes, one image in memory at a time.

    Raises:
        FileNotFoundError: No trajectories.jsonl in the folder, or no scenes.
        ValueError: A line that is wrong, or its scene: the message has the line's number, and what is wrong.
    """
    index = SceneIndex(_scenes_of(folder))
    scene: Example | None = None
    for trajectory in read_rows(folder, index):
        if scene is None or scene.id != trajectory.scene_id:
            scene = _of_scene(trajectory, index, index.__getitem__)
        yield scene, trajectory


def read_rows(folder: Path, index: SceneIndex) -> Iterator[Trajectory]:
    """Read trajectories in the order they were written, checked against facts of their scenes: no image is decoded.

    Args:
        folder: Of trajectories.
        index: Its scenes.

    Raises:
        FileNotFoundError: No trajectories.jsonl in the folder.
        ValueError: As `read_trajectories`.
    """
    rows = _rows_of(folder)
    known: set[str] = set()
    facts: ExampleFacts | None = None
    of = ""
    with rows.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                trajectory = from_line(line)
                if trajectory.id in known:
                    raise ValueError(f"trajectory {trajectory.id}: there are two of this id")
                known.add(trajectory.id)
                if facts is None or of != trajectory.scene_id:
                    facts, of = _of_scene(trajectory, index, index.facts), trajectory.scene_id
                _check_facts(of, facts, trajectory)
            except ValueError as error:
                raise ValueError(f"{rows}, line {number}: {error}") from error
            yield trajectory


def _scenes_of(folder: Path) -> Path:
    _rows_of(folder)
    return folder / SCENES


def _rows_of(folder: Path) -> Path:
    rows = folder / ROWS
    if not rows.is_file():
        hint = " (a run was broken off here: start it again)" if (folder / f"{ROWS}.partial").exists() else ""
        raise FileNotFoundError(f"{rows} is missing; a folder of trajectories holds {ROWS} and {SCENES}/{hint}")
    return rows


def to_line(trajectory: Trajectory) -> bytes:
    """A trajectory as one line of trajectories.jsonl, its newline included."""
    row = _Line(
        VERSION,
        trajectory.id,
        trajectory.scene_id,
        trajectory.learn,
        trajectory.iou,
        trajectory.source,
        msgspec.Raw(trajectory.trace.to_json().encode()),
    )
    return msgspec.json.encode(row) + b"\n"


def from_line(line: bytes) -> Trajectory:
    """The trajectory of one line.

    Raises:
        ValueError: Not a trajectory of this version; the message names the field.
    """
    try:
        version = msgspec.json.decode(line, type=_Versioned).version
        if version != VERSION:
            remedy = "update rsagent" if version > VERSION else "make it again with `rsagent synthesize`"
            raise ValueError(f"the trajectory is of version {version}; this release reads version {VERSION}: {remedy}")
        row = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not a trajectory: {error}") from error
    return Trajectory(row.id, row.scene_id, Trace.from_json(bytes(row.trace)), row.learn, row.iou, row.source)


def check_pair(scene: Example, trajectory: Trajectory) -> None:
    """Refuse a trajectory that is not of this scene.

    Raises:
        ValueError: They differ in id, in size or in what was asked.
    """
    _check_facts(scene.id, ExampleFacts(scene.instruction, scene.shape), trajectory)


def _check_facts(scene_id: str, facts: ExampleFacts, trajectory: Trajectory) -> None:
    trace = trajectory.trace
    if trajectory.scene_id != scene_id:
        raise ValueError(f"trajectory {trajectory.id}: it is of scene {trajectory.scene_id}, not of {scene_id}")
    if (trace.height, trace.width) != facts.shape:
        raise ValueError(
            f"trajectory {trajectory.id}: its masks are of {(trace.height, trace.width)} pixels (height, width), "
            f"the image of scene {scene_id} of {facts.shape}"
        )
    if trace.instruction != plain(facts.instruction.strip()):
        raise ValueError(
            f"trajectory {trajectory.id}: it looks for {trace.instruction!r}, scene {scene_id} asks for "
            f"{facts.instruction!r}"
        )


def _of_scene(trajectory: Trajectory, index: SceneIndex, read: Callable[[str], Found]) -> Found:
    try:
        return read(trajectory.scene_id)
    except KeyError:
        raise ValueError(
            f"trajectory {trajectory.id}: its scene {trajectory.scene_id} is not in {index.folder}"
        ) from None
    except ValueError as error:
        raise ValueError(
            f"trajectory {trajectory.id}: its scene {trajectory.scene_id} can't be read: {error}"
        ) from error
