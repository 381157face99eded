"""Limits of the disk, and writing that leaves whole files or none."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from recorded import STAMP, noise, recorded

from rsagent_ros.records.limits import Limits
from rsagent_ros.records.reader import read_record, read_records
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import DiskFullError, RecordWriter, add_verdict

ROOMY = Limits(free_megabytes=0)


def goals(folder: Path) -> list[str]:
    return [record.goal_id for record in read_records(folder)]


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_names_say_when_and_what(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, ROOMY)
    names = [writer.write(recorded(goal_id=name)).relative_to(tmp_path) for name in ("a/../b c", "x", "x", "ü" * 128)]
    assert [str(name) for name in names] == [
        "2025-11-21/143512.123456789_a____b_c.mcap",
        "2025-11-21/143512.123456789_x.mcap",
        "2025-11-21/143512.123456789_x-2.mcap",
        f"2025-11-21/143512.123456789_{'_' * 64}.mcap",
    ]


def test_the_same_record_gives_the_same_bytes(tmp_path: Path) -> None:
    writer, record = RecordWriter(tmp_path, ROOMY), recorded()
    assert writer.write(record).read_bytes() == writer.write(record).read_bytes()


def test_the_oldest_goals_make_room(tmp_path: Path) -> None:
    one = RecordWriter(tmp_path / "one", ROOMY).write(recorded()).stat().st_size
    folder = tmp_path / "records"
    writer = RecordWriter(folder, Limits(megabytes=3.5 * one / 1e6, free_megabytes=0))
    for number in range(6):
        path = writer.write(recorded(goal_id=str(number), stamp_ns=STAMP - number))  # by when they are written
        if number == 3:
            writer.add_verdict(path, Verdict("3", "operator", accepted=True))
        assert size(folder) <= 3.5 * one
        assert writer.megabytes == pytest.approx(size(folder) / 1e6)
    assert goals(folder) == ["5", "4", "3"]
    # Another process goes on where this one was, and removes verdicts with their goal.
    later = RecordWriter(folder, Limits(megabytes=1.5 * one / 1e6, free_megabytes=0))
    later.write(recorded(goal_id="6"))
    assert goals(folder) == ["6"]
    assert len(list(folder.rglob("*.mcap"))) == 1


def test_old_goals_are_removed(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, ROOMY)
    old = writer.write(recorded(goal_id="old"))
    two_days_ago = time.time() - 2 * 86_400
    os.utime(old, (two_days_ago, two_days_ago))
    RecordWriter(tmp_path, Limits(days=1.0, free_megabytes=0)).write(recorded(goal_id="new", stamp_ns=1))
    assert goals(tmp_path) == ["new"]
    assert not old.parent.exists()


def test_what_is_over_all_limits_is_refused_and_removes_nothing(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, ROOMY)
    writer.write(recorded(goal_id="kept"))
    with pytest.raises(DiskFullError, match=r"is over the limit of 0\.001 MB"):
        RecordWriter(tmp_path, Limits(megabytes=0.001, free_megabytes=0)).write(recorded())
    assert goals(tmp_path) == ["kept"]


def test_the_floor_of_free_space_is_kept(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, ROOMY)
    path = writer.write(recorded(goal_id="kept"))
    floor = shutil.disk_usage(tmp_path).free / 1e6 + 1e6
    strict = RecordWriter(tmp_path, Limits(free_megabytes=floor))
    with pytest.raises(DiskFullError, match="are to stay free: make room"):
        strict.write(recorded(goal_id="new"))
    with pytest.raises(DiskFullError, match="are to stay free"):
        strict.add_verdict(path, Verdict("kept", "operator", accepted=True))
    assert goals(tmp_path) == ["kept"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here: root is needed")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(small_disk: Path) -> None:
    writer = RecordWriter(small_disk, ROOMY)
    kept = [recorded(goal_id=str(number), image=noise(256, 192, number)) for number in range(9)]

    def write_all() -> None:
        for record in kept:
            writer.write(record)

    # The floor of 0 lets it try; the last one does not fit in any more.
    with pytest.raises(DiskFullError) as caught:
        write_all()
    assert caught.value.errno == errno.ENOSPC
    there = goals(small_disk)
    assert there == [record.goal_id for record in kept[: len(there)]]
    assert 0 < len(there) < len(kept)
    (small_disk / "2025-11-21").joinpath("143512.123456789_0.mcap").unlink()
    writer.write(kept[-1])  # room was made, and it goes on
    assert goals(small_disk) == [*there[1:], "8"]


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, ROOMY)
    writer.write(recorded(goal_id="kept"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))  # as a quota would, in the middle of the file
    try:
        with pytest.raises(DiskFullError, match="could not be written"):
            writer.write(recorded(goal_id="new"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert goals(tmp_path) == ["kept"]
    assert [file.name for file in tmp_path.rglob("*") if ".part" in file.name] == []


def test_what_a_killed_process_left_is_removed_later(tmp_path: Path) -> None:
    fresh, old = tmp_path / ".a.mcap.1.part", tmp_path / ".b.mcap.1.part"
    for part in (fresh, old):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    RecordWriter(tmp_path, ROOMY)
    assert fresh.exists()  # another process may be writing it
    assert not old.exists()


def test_what_others_keep_in_the_folder_stays_and_does_not_count(tmp_path: Path) -> None:
    names = ("bag/bag_0.mcap", "2025-11-21/a walk.mcap", "download.part", ".cake.zip.77-1.part", "bag_1.mcap.1-2.part")
    others = [tmp_path / name for name in names]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(bytes(1_000_000))
        os.utime(other, (0, 0))
    writer = RecordWriter(tmp_path, Limits(megabytes=0.5, days=1.0, free_megabytes=0))
    assert (writer.count, writer.megabytes) == (0, 0)
    paths = [writer.write(recorded(goal_id=name)) for name in ("a", "a")]
    assert all(file.exists() for file in (*others, *paths))
    assert RecordWriter(tmp_path, ROOMY).count == 2


def test_a_day_that_somebody_moved_away_costs_no_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, day = tmp_path / "records", 86_400 * 10**9
    writer = RecordWriter(folder, Limits(days=1.0, free_megabytes=0))
    first = writer.write(recorded(goal_id="first"))
    later = time.time() + 2 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    first.parent.rename(tmp_path / "moved")
    writer.write(recorded(goal_id="second", stamp_ns=STAMP + day))
    writer.write(recorded(goal_id="third", stamp_ns=STAMP + day))
    assert goals(folder) == ["second", "third"]
    assert goals(tmp_path / "moved") == ["first"]


def test_what_somebody_moved_away_makes_room(tmp_path: Path) -> None:
    one = RecordWriter(tmp_path / "one", ROOMY).write(recorded()).stat().st_size
    folder = tmp_path / "records"
    writer = RecordWriter(folder, Limits(megabytes=4.5 * one / 1e6, free_megabytes=0))
    paths = [writer.write(recorded(goal_id=str(number))) for number in range(4)]
    for path in paths[:2]:
        path.rename(tmp_path / path.name)
    for number in (4, 5):
        writer.write(recorded(goal_id=str(number)))
    assert goals(folder) == ["2", "3", "4", "5"]
    assert writer.megabytes == pytest.approx(size(folder) / 1e6)
    writer.write(recorded(goal_id="6"))
    assert goals(folder) == ["3", "4", "5", "6"]


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        RecordWriter(tmp_path / "file" / "records")


def test_a_verdict_needs_its_record(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, ROOMY)
    with pytest.raises(FileNotFoundError, match="no such record"):
        writer.add_verdict(tmp_path / "none.mcap", Verdict("x", "operator", accepted=True))


@pytest.mark.parametrize("wrong", [{"megabytes": 0.0}, {"days": -1.0}, {"free_megabytes": -1.0}])
def test_limits_make_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be greater than 0"):
        Limits(**wrong)


WRITE_FOR_EVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from recorded import recorded
from rsagent_ros.records.writer import Limits, RecordWriter
writer = RecordWriter(Path(sys.argv[1]), Limits(free_megabytes=0))
number = 0
while True:
    record = recorded(goal_id=f"{number:06d}")
    writer.write(record)
    print(record.goal_id, flush=True)
    number += 1
"""


def test_killed_at_any_moment_whole_files_remain(tmp_path: Path) -> None:
    tests = str(Path(__file__).resolve().parents[1] / "support")
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "records"), tests]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split()
    process.wait()
    process.stdout.close()

    def fail(sentence: str) -> None:
        raise AssertionError(sentence)

    there = [record.goal_id for record in read_records(tmp_path / "records", fail)]
    assert there[: len(told)] == told
    assert len(there) - len(told) in (0, 1)  # one may have been stored and not told


def test_verdicts_of_one_moment_are_all_kept(tmp_path: Path) -> None:
    path = RecordWriter(tmp_path, ROOMY).write(recorded())
    verdicts = [Verdict("goal", "operator", accepted=True, note=str(number)) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(partial(add_verdict, path), verdicts))
    assert len(set(files)) == len(files)
    assert sorted(int(one.note) for one in read_record(path).verdicts) == list(range(40))
    assert not list(tmp_path.rglob("*.part"))
