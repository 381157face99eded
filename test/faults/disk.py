"""Faults of the disk that records go to. No goal waits for it or fails with it, and the loss is told."""

from __future__ import annotations

import shutil
import signal
import subprocess

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from faults.matrix import Row
from faults.stage import Stage
from ros_support import image_of, until

NOISE = image_of(np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8), "rgb8")
"""200 kB that can't be compressed."""


def told(stage: Stage) -> None:
    """Wait until /diagnostics says that something is wrong with the records."""
    until(lambda: stage.states["records"].level == DiagnosticStatus.ERROR)


def well_again(stage: Stage) -> None:
    """A goal that is on the disk."""
    goal = stage.ask()
    until(lambda: goal.id in stage.stored())


def full(stage: Stage) -> None:
    """A file system of 300 kB fills up while goals run; then there is room again."""
    disk = stage.records / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here: root is needed")
    try:
        stage.activate_with(record_dir=str(disk))
        for _ in range(6):
            stage.ask(image=NOISE)
        told(stage)
        files = list(disk.rglob("*.mcap"))
        assert 0 < len(files) < len(stage.goals)
        for file in files:
            file.unlink()
        well_again(stage)
        until(lambda: stage.states["records"].level == DiagnosticStatus.OK)
    finally:
        stage.activate_with(record_dir=str(stage.records))
        subprocess.run(["umount", "-l", str(disk)], check=True)


def no_room_left(stage: Stage) -> None:
    """Less of the disk is free than records have to leave, and then enough."""
    stage.activate_with(record_free_megabytes=1e7)
    for _ in range(3):
        stage.ask()
    told(stage)
    stage.activate_with(record_free_megabytes=0.0)
    well_again(stage)


def gone(stage: Stage) -> None:
    """The folder is removed, and a file stands in its place, while goals run."""
    folder = stage.records / "gone"
    stage.activate_with(record_dir=str(folder))
    stage.ask()
    until(lambda: any(folder.rglob("*.mcap")))
    shutil.rmtree(folder)
    folder.write_text("")
    for _ in range(3):
        stage.ask()
    told(stage)
    folder.unlink()
    stage.activate_with(record_dir=str(stage.records))
    well_again(stage)


def slow(stage: Stage) -> None:
    """Writing a record takes longer than its goal does; none waits for it, and all come onto the disk."""
    stage.agent.kick(signal.SIGUSR2)
    for _ in range(200):
        stage.ask()
    ids = {goal.id for goal in stage.goals}
    assert not ids <= stage.stored().keys()
    until(lambda: ids <= stage.stored().keys())
    stage.agent.kick(signal.SIGUSR2)


FOUND = ("FOUND",)
ROWS = (
    Row("disk is full", full, FOUND, records="told"),
    Row("disk has less room than records must leave", no_room_left, FOUND, records="told"),
    Row("folder of records is removed", gone, FOUND, records="told"),
    Row("disk is slow, 200 goals", slow, FOUND),
)
