"""`Recorder`: goals that have ended, and verdicts about them, on their way to the disk.

No goal and no verdict waits for the disk. One that is full, slow or gone is a diagnostic; a process that is killed
loses the goal in progress, and what is on its way to the disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rclpy.impl.rcutils_logger import RcutilsLogger

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.turn import Trace
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.message_fields import camera_of, verdict_of
from rsagent_ros.records.record import Record, Redaction
from rsagent_ros.records.redaction import Redact, redactor
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.goals.disk_queue import DiskQueue
from rsagent_ros.ros.newest import REMEMBERED_GOALS, Newest
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.stamps import nanoseconds

if TYPE_CHECKING:
    from rsagent_ros.records.writer import RecordWriter

log = logging.getLogger(__name__)

CLOSING = 2.0
"""Seconds that `close` waits for what is on its way to the disk: far more than a disk takes that works."""


@dataclass(frozen=True, eq=False)
class _Target:
    """The folder that records go to, and what is taken out of their images before."""

    writer: RecordWriter
    redact: Redact


class Recorder:
    """Writes while `record_dir` is set. Thread-safe; only `open` and `close` touch the disk in the caller's thread.

    Attributes:
        problem: Why the last goal or verdict was not stored, or none can be; empty if all is well.
        goals, verdicts: Stored since the node started.
        lost: Goals and verdicts that were not.
    """

    def __init__(self, log: RcutilsLogger, now: Callable[[], int]) -> None:
        """Prepare; nothing is written before `open`.

        Args:
            log: Of the node.
            now: Nanoseconds, for images and verdicts without a stamp.
        """
        self._log = log
        self._now = now
        self._lock = threading.Lock()
        self._target: _Target | None = None
        self._disk: DiskQueue | None = None
        self._closed = False
        self._paths: Newest[str, Path] = Newest(REMEMBERED_GOALS)
        self.problem = ""
        self.goals = self.verdicts = self.lost = 0

    @property
    def folder(self) -> str:
        """Folder of the records; empty while nothing is recorded."""
        target = self._target
        return "" if target is None else str(target.writer.folder)

    @property
    def megabytes(self) -> float:
        """Size of all records in the folder."""
        target = self._target
        return 0.0 if target is None else target.writer.megabytes

    @property
    def waiting(self) -> int:
        """Goals and verdicts on their way to the disk."""
        disk = self._disk
        return 0 if disk is None else disk.pending

    def open(self, parameters: NodeParameters) -> None:
        """Take over the parameters. A folder that can't be used is a problem that is told, not an error.

        What is still on its way to the disk goes to the folder of before.
        """
        self.problem = ""
        target = self._opened(parameters) if parameters.record_dir else None
        with self._lock:
            self._target, self._closed = target, False
            if target is not None and self._disk is None:
                self._disk = DiskQueue()

    def close(self) -> None:
        """Write what is on its way, and stop. Blocks until then, but no longer than CLOSING."""
        with self._lock:  # from here on nothing more is handed over
            self._closed, self._target = self._target is not None, None
            disk, self._disk = self._disk, None
        if disk is not None and not disk.close(CLOSING):
            self._log.error("the disk of record_dir hangs; what was on its way to it is lost")

    def goal(self, goal_id: str, frame: Frame, trace: Trace) -> None:
        """Store a goal that has ended. Returns at once."""
        if not self._wanted:
            return
        record = Record(
            goal_id=goal_id,
            stamp_ns=nanoseconds(frame.header.stamp) or self._now(),
            camera=frame.camera,
            image=frame.rgb,
            trace=trace,
            depth=frame.depth,
            camera_info=None if frame.camera_info is None else camera_of(frame.camera_info),
            frame_id=frame.header.frame_id,
        )

        def write(target: _Target) -> None:
            path = target.writer.write(target.redact(record))
            self.goals += 1
            self._paths[record.goal_id] = path

        size = frame.rgb.nbytes + (0 if frame.depth is None else frame.depth.nbytes)
        self._hand_over(write, size, f"goal {record.goal_id!r}")

    def verdict(self, message: VerdictMessage) -> None:
        """Store a verdict that the node has accepted. Returns at once."""
        if not self._wanted:
            return
        try:
            verdict = verdict_of(message)
        except (ValueError, RunFailed) as error:
            self._failed(f"the verdict about goal {message.goal_id!r} is not recorded: {describe(error)}")
            return
        if not verdict.stamp_ns:  # it would count less than any other, however late it came
            verdict = replace(verdict, stamp_ns=self._now())

        def write(target: _Target) -> None:
            path = self._paths.get(verdict.goal_id)
            if path is None:
                raise FileNotFoundError("its goal was not recorded")
            target.writer.add_verdict(path, verdict)
            self.verdicts += 1

        size = 0 if verdict.mask is None else verdict.mask.nbytes
        self._hand_over(write, size, f"the verdict about goal {verdict.goal_id!r}")

    @property
    def _wanted(self) -> bool:
        """Whether somebody wants records; after `close` they are wanted in vain."""
        return self._target is not None or self._closed

    def _opened(self, parameters: NodeParameters) -> _Target | None:
        from rsagent_ros.records.writer import RecordWriter  # and MCAP with it: memory that only recording takes

        limits = Limits(parameters.record_megabytes, parameters.record_days, parameters.record_free_megabytes)
        try:
            redact = redactor(cast(Redaction, parameters.record_redaction))
        except FileNotFoundError as error:  # rather no records than such with faces
            self._failed(f"nothing is recorded: {error}")
            return None
        try:
            return _Target(RecordWriter(Path(parameters.record_dir).expanduser(), limits), redact)
        except OSError as error:
            self._failed(f"record_dir {parameters.record_dir!r} can't be used: {describe(error)}")
            return None

    def _hand_over(self, write: Callable[[_Target], None], size: int, what: str) -> None:
        refused = ""
        with self._lock:
            target = self._target
            if target is not None and self._disk is not None:
                if not self._disk.submit(partial(self._write, write, target, what), size):
                    refused = f"{self._disk.pending} others are waiting for the disk of {target.writer.folder}"
            elif self._closed:
                refused = "the recorder is closed"
        if refused:
            self._failed(f"{what} is not recorded: {refused}")

    def _write(self, write: Callable[[_Target], None], target: _Target, what: str) -> None:
        """Write a goal or verdict, in the thread `recorder`; a failure becomes the `problem`."""
        try:
            write(target)
        except OSError as error:
            self._failed(f"{what} is not recorded: {describe(error)}")
        except Exception as error:  # whatever an encoder does, the node goes on
            log.exception("%s is not recorded because of a defect", what)
            self._failed(f"{what} is not recorded: {describe(error)}")
        else:
            self.problem = ""

    def _failed(self, sentence: str) -> None:
        self.lost += 1
        self.problem = sentence
        self._log.error(sentence)
