"""`rsagent export --rerun`: what is in the file, by Rerun's own program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import POLICY_SCRIPTS
from recorded import CAMERA, STAMP, recorded

from rsagent_ros.cli import main
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.writer import RecordWriter

pytest.importorskip("rerun", reason="the extra [rerun] is not installed")
RERUN = Path(sys.executable).parent / "rerun"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    writer = RecordWriter(tmp_path / "records", Limits(free_megabytes=0))
    depth = np.full((48, 64), 0.8, np.float32)
    writer.write(recorded(POLICY_SCRIPTS["instant"], depth=depth, camera_info=CAMERA))
    writer.write(recorded(POLICY_SCRIPTS["absent"], goal_id="goal-2", stamp_ns=STAMP + 1_000_000_000))
    return writer.folder


def rerun(*arguments: str) -> str:
    return subprocess.run([RERUN, "rrd", *arguments], capture_output=True, text=True, check=True).stdout


def test_frames_masks_thoughts_and_boxes_are_on_one_time_line(records: Path, tmp_path: Path) -> None:
    file = tmp_path / "day.rrd"
    assert main(["export", str(records), "--rerun", str(file)]) == 0
    rerun("verify", str(file))
    content = rerun("print", "-vvv", str(file))
    entities = set(re.findall(r"entity_path: (/\S+)", content))
    assert entities >= {
        "/camera/image",
        "/camera/image/mask",
        "/camera/image/objects",
        "/camera/depth",
        "/camera/objects",
        "/camera/objects/points",
        "/picture",
        "/thoughts",
    }
    for words in ("1. segment: The middle.", "2. finish: That is it.", "goal-2: not_in_view there is nothing like it"):
        assert words in content
    assert "index_name: time" in content
    assert "2025-11-21" in content


def test_what_can_t_be_done_is_told(
    records: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(records), "--rerun", str(tmp_path / "nowhere/day.rrd")]) == 1
    assert "can't be written (No such file or directory)" in caplog.text
    with pytest.raises(SystemExit) as ended:
        main(["export", str(tmp_path / "nothing"), "--rerun", str(tmp_path / "day.rrd")])
    assert ended.value.code == 2
    assert "there are no records" in capsys.readouterr().err


def test_damaged_records_are_passed_over_and_told(
    records: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, *others = sorted(records.rglob("*.mcap"))
    first.write_bytes(b"not a record")
    assert main(["export", str(records), "--rerun", str(tmp_path / "day.rrd")]) == 3
    assert str(first) in caplog.text
    for file in others:
        file.write_bytes(b"not a record")
    assert main(["export", str(records), "--rerun", str(tmp_path / "day.rrd")]) == 1
    assert "there is no record that could be read" in caplog.text
