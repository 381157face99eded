"""Sets of scenes, and the command that writes them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("mujoco", reason="the simulator is the extra [sim]")

from rsagent_ros.data.folder import load_examples
from rsagent_training.simulate import main, scenes

SMALL = (320, 240)


def test_the_first_scenes_do_not_depend_on_how_many_follow() -> None:
    few, more = list(scenes(50, 2, size=SMALL, per_world=3)), list(scenes(50, 5, size=SMALL, per_world=3))
    assert [scene.id for scene in few] == [scene.id for scene in more[:2]]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(few, more, strict=False))
    assert len({scene.id for scene in more}) == 5


def test_categories_stay_in_balance() -> None:
    asked = Counter(scene.category for scene in scenes(20, 20, size=SMALL, per_world=4))
    assert len(asked) >= 9
    assert max(asked.values()) <= 3


def test_a_scene_says_how_to_make_it_again() -> None:
    (scene,) = scenes(60, 1, vocabulary="plain", size=SMALL)
    assert scene.source.startswith("simulate vocabulary=plain seed=60 goal=")
    assert scene.camera is not None
    assert (scene.camera.width, scene.camera.height) == SMALL


def test_the_command_writes_what_can_be_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, sheet = tmp_path / "set", tmp_path / "sheet.png"
    run = [str(folder), "--seed", "7", "--count", "2", "--size", "320x240", "--vocabulary", "plain"]
    assert main([*run, "--sheet", str(sheet)]) == 0
    assert "2/2" in capsys.readouterr().err
    written, made = list(load_examples(folder)), list(scenes(7, 2, vocabulary="plain", size=SMALL))
    assert [scene.instruction for scene in written] == [scene.instruction for scene in made]
    for back, scene in zip(written, made, strict=True):
        assert np.array_equal(back.image, scene.image)
        assert all(np.array_equal(a, b) for a, b in zip(back.masks, scene.masks, strict=True))
        assert back.depth is not None
        assert scene.depth is not None
        assert np.nanmax(np.abs(back.depth - scene.depth)) < 0.0006
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[1] == 4 * 480


@pytest.mark.parametrize("taken", ["set", "sheet.png"])
def test_the_command_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    assert main([str(tmp_path / "set"), "--count", "1", "--sheet", str(tmp_path / "sheet.png")]) == 1
    assert "exists already, not overwriting" in capsys.readouterr().err
    assert (tmp_path / taken).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [taken]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["--size", "640"], "'640' is not WIDTHxHEIGHT"),
        (["--size", "0x480"], "'0x480' is not WIDTHxHEIGHT"),
        (["--count", "0"], "0 is less than 1"),
        (["--seed", "-1"], "-1 is less than 0"),
        (["--vocabulary", "all"], "invalid choice: 'all'"),
    ],
)
def test_bad_usage_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "set"), *wrong])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_no_scenes_and_no_goals_per_world_are_refused() -> None:
    with pytest.raises(ValueError, match="per_world 0"):
        next(scenes(0, 1, per_world=0))
    with pytest.raises(ValueError, match="count is 0"):
        next(scenes(0, 0))
