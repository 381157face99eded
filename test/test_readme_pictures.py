"""The README's animated picture, drawn from a record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fakes import POLICY_SCRIPTS
from PIL import Image, ImageSequence
from recorded import recorded

from rsagent_ros.records.limits import Limits
from rsagent_ros.records.writer import RecordWriter

ROOT = Path(__file__).resolve().parents[1]


def draw(folder: Path, goal: str) -> subprocess.CompletedProcess[str]:
    words = [str(folder / "records"), "--out", str(folder / "goal.gif"), "--goal", goal]
    command = [sys.executable, str(ROOT / ".ci/readme_pictures.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_goal_becomes_a_picture_for_each_turn(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "records", Limits(free_megabytes=0)).write(recorded(POLICY_SCRIPTS["instant"]))
    done = draw(tmp_path, "the thing in the middle")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "goal.gif") as animation:
        assert len(list(ImageSequence.Iterator(animation))) == 4  # question, two turns, answer
    other = draw(tmp_path, "the red mug")
    assert other.returncode == 2
    assert "has no record of 'the red mug'; `make demo` makes some" in other.stderr


def test_the_picture_in_the_readme_moves() -> None:
    with Image.open(ROOT / "docs/goal.gif") as animation:
        assert len(list(ImageSequence.Iterator(animation))) > 3
