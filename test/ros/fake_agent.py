"""The agent's node with fake models, as a program: `fake_agent.py POLICY_SCRIPT SEGMENTER_FAULT [ROS arguments]`.

The fault `hanging_disk` is the disk's, not the segmenter's: no record is written. SIGUSR1 releases whatever hangs.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from fakes import LATER, MALFORMED, POLICY_SCRIPTS, SECOND_LOOKS, SEGMENTER_FAULTS, FakePolicy, FakeSegmenter

from rsagent_ros.backends import Models
from rsagent_ros.records.record import Record
from rsagent_ros.ros.program import run


def main(script: str, fault: str, *ros_arguments: str) -> int:
    looks = SECOND_LOOKS.get(script, (MALFORMED,))
    policy = FakePolicy(POLICY_SCRIPTS[script], remember=False, looks=looks, later=LATER.get(script))
    disk = threading.Event()
    if fault == "hanging_disk":
        hang_writes(disk)
        fault = "none"
    segmenter = FakeSegmenter(SEGMENTER_FAULTS[SEGMENTER_FAULTS.index(fault)], remember=False)

    def release(*_: object) -> None:
        policy.release.set()
        segmenter.release.set()
        disk.set()

    signal.signal(signal.SIGUSR1, release)
    return run(ros_arguments, load=lambda parameters: Models(policy, segmenter))


def hang_writes(until: threading.Event) -> None:
    """Let every write of a record wait for that."""
    from rsagent_ros.records.writer import RecordWriter

    write = RecordWriter.write

    def slow(writer: RecordWriter, record: Record) -> Path:
        until.wait()
        return write(writer, record)

    RecordWriter.write = slow  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
