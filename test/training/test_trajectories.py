"""Trajectories on disk: what is written comes back equal, and a bad folder is refused by line and reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from played import box, play, scene_of, square

from rsagent_ros.agent.actions import Action, Finish, ReportAbsent, Segment
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import save_examples
from rsagent_training.scene_index import SceneIndex
from rsagent_training.trajectories import Trajectory, read_trajectories, write_trajectories

SCENES = [scene_of(square(20, 20, 60, 60), name="one"), scene_of(name="none")]


def pair(scene: Example, name: str) -> tuple[Example, Trajectory]:
    script: list[Action] = (
        [Segment(box=box(20, 20, 60, 60)), Finish((1,))] if scene.masks else [ReportAbsent("not there")]
    )
    trace = play(scene, script)
    return scene, Trajectory(name, scene.id, trace, (True,) * len(trace.turns), 1.0, "made up")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_trajectories(tmp_path / "set", [pair(SCENES[0], "a"), pair(SCENES[0], "b"), pair(SCENES[1], "c")])
    return tmp_path / "set"


def test_what_is_written_comes_back_in_order_with_its_scene(folder: Path) -> None:
    read = list(read_trajectories(folder))
    assert [trajectory.id for _, trajectory in read] == ["a", "b", "c"]
    for (scene, trajectory), (written, expected) in zip(
        read, [pair(SCENES[0], "a"), pair(SCENES[0], "b"), pair(SCENES[1], "c")], strict=True
    ):
        assert scene.id == written.id
        np.testing.assert_array_equal(scene.image, written.image)
        assert trajectory.learn == expected.learn
        assert [turn.reply for turn in trajectory.trace.turns] == [turn.reply for turn in expected.trace.turns]
        assert [turn.mask for turn in trajectory.trace.turns] == [turn.mask for turn in expected.trace.turns]
    assert len(list((folder / "scenes" / "images").iterdir())) == 2  # a scene is stored once


def test_trajectories_of_one_scene_need_not_stand_together(tmp_path: Path) -> None:
    pairs = [pair(SCENES[0], "a"), pair(SCENES[1], "b"), pair(SCENES[0], "c")]
    assert write_trajectories(tmp_path, iter(pairs)) == 3
    assert [scene.id for scene, _ in read_trajectories(tmp_path)] == ["one", "none", "one"]


def test_the_chat_of_a_trajectory_is_drawn_again(folder: Path) -> None:
    scene, trajectory = next(read_trajectories(folder))
    chat = trajectory.trace.messages(scene.image)
    assert [message.role for message in chat] == ["system", "user", "assistant", "user", "assistant"]
    assert [len(message.pictures) for message in chat] == [0, 1, 0, 1, 0]


def test_nothing_is_overwritten(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="exists already, not overwriting"):
        write_trajectories(folder, [])


def test_a_set_that_was_broken_off_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    def broken() -> Any:
        yield pair(SCENES[0], "a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_trajectories(tmp_path, broken())
    with pytest.raises(FileNotFoundError, match=r"is missing; .*a run was broken off here: start it again"):
        next(read_trajectories(tmp_path))
    assert write_trajectories(tmp_path, [pair(SCENES[0], "a")]) == 1
    (tmp_path / "trajectories.jsonl").rename(
        tmp_path / "trajectories.jsonl.partial"
    )  # killed when all but that was done
    assert write_trajectories(tmp_path, [pair(SCENES[0], "a"), pair(SCENES[1], "b")]) == 2
    assert len(list(read_trajectories(tmp_path))) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "../x"}, r"trajectory id '\.\./x': use letters"),
        ({"learn": (True,)}, "learn has 1 entries for 2 turns"),
        ({"learn": (False, False)}, "no turn of it carries loss"),
        ({"iou": 1.2}, "iou is 1.2; it must be 0 to 1"),
        ({"iou": float("nan")}, "iou is nan"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(pair(SCENES[0], "a")[1], **change)


def test_a_trajectory_without_turns_is_refused() -> None:
    trajectory = pair(SCENES[0], "a")[1]
    with pytest.raises(ValueError, match="its trace has no turn"):
        replace(trajectory, trace=replace(trajectory.trace, turns=()), learn=())


def test_a_trajectory_of_another_scene_is_not_written(tmp_path: Path) -> None:
    scene, trajectory = pair(SCENES[0], "a")
    for number, (other, message) in enumerate(
        [
            (SCENES[1], "it is of scene one, not of none"),
            (replace(scene, instruction="the mug"), "it looks for 'the things of one', scene one asks for 'the mug'"),
        ]
    ):
        with pytest.raises(ValueError, match=message):
            write_trajectories(tmp_path / str(number), [(other, trajectory)])


# --- a folder from anywhere


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Change the second line of trajectories.jsonl."""

    def edit(folder: Path) -> None:
        rows = folder / "trajectories.jsonl"
        lines = rows.read_text().splitlines()
        row = json.loads(lines[1])
        change(row)
        rows.write_text("\n".join([lines[0], json.dumps(row), *lines[2:]]))

    return edit


def _missing_image(folder: Path) -> None:
    _edit(lambda row: row.update(scene_id="none"))(folder)
    (folder / "scenes" / "images" / "none.png").unlink()


def _other_image(folder: Path) -> None:
    """The scene's image and masks have another size than the trace."""
    small = replace(SCENES[0], image=np.zeros((50, 80, 3), dtype=np.uint8), masks=(np.ones((50, 80), dtype=np.bool_),))
    (folder / "scenes" / "scenes.jsonl").unlink()
    for image in (folder / "scenes" / "images").iterdir():
        image.unlink()
    save_examples([replace(small, id="two"), SCENES[0]], folder / "scenes")
    _edit(lambda row: row.update(scene_id="two"))(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            _missing_image,
            r"its scene none can't be read: .*scenes\.jsonl, line 2: the file .*images/none\.png is missing",
        ),
        (_edit(lambda row: row.update(scene_id="gone")), "trajectory b: its scene gone is not in .*scenes"),
        (
            _edit(lambda row: row["trace"]["turns"][0]["mask"].update(size=[50, 200])),
            r"mask of size \[50, 200\] in a frame of \[100, 100\] .* at `\$.turns\[0\]`",
        ),
        (_other_image, r"its masks are of \(100, 100\) pixels .*, the image of scene two of \(50, 80\)"),
        (_edit(lambda row: row.update(version=0)), "is of version 0; this release reads version 1: make it again"),
        (_edit(lambda row: row.update(version=7)), "is of version 7; this release reads version 1: update rsagent"),
        (_edit(lambda row: row["trace"].update(version=0)), "the trace is of version 0"),
        (_edit(lambda row: row.pop("learn")), "not a trajectory: Object missing required field `learn`"),
        (_edit(lambda row: row.update(learn=[True])), "learn has 1 entries for 2 turns"),
        (_edit(lambda row: row.update(id="a")), "trajectory a: there are two of this id"),
        (_edit(lambda row: row["trace"].update(instruction="the mug")), "it looks for 'the mug', scene one asks for"),
    ],
)
def test_what_is_wrong_is_said_with_the_number_of_its_line(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    with pytest.raises(ValueError, match=rf"trajectories\.jsonl, line 2: .*{message}"):
        list(read_trajectories(folder))


def test_a_line_that_is_cut_off_is_refused(folder: Path) -> None:
    rows = folder / "trajectories.jsonl"
    rows.write_bytes(rows.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"line 3: not a trajectory: "):
        list(read_trajectories(folder))


# --- scenes by id


def test_scenes_are_read_by_id_in_any_order(folder: Path) -> None:
    index = SceneIndex(folder / "scenes")
    assert list(index) == ["one", "none"]
    assert len(index) == 2
    assert index["none"].id == "none"
    assert index["one"].id == "one"
    with pytest.raises(KeyError):
        index["two"]


def test_an_id_twice_or_none_is_refused(folder: Path) -> None:
    rows = folder / "scenes" / "scenes.jsonl"
    text = rows.read_text()
    rows.write_text(text + text.splitlines()[0])
    with pytest.raises(ValueError, match=r"scenes\.jsonl, line 3: scene one is in line 1 already"):
        SceneIndex(folder / "scenes")
    rows.write_text("{}\n" + text)
    with pytest.raises(ValueError, match=r"scenes\.jsonl, line 1: .*`id`"):
        SceneIndex(folder / "scenes")
    rows.unlink()
    with pytest.raises(FileNotFoundError, match=r"scenes\.jsonl is missing"):
        SceneIndex(folder / "scenes")
