"""The node's recorder: goals that have ended, and verdicts about them, on their way to the disk.

A thread of its own writes; a goal never waits for it longer than SETTLE, and a disk that is full, slow or gone is a
diagnostic. The next goal begins when the last one is on the disk: a process that is killed loses one goal at most.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
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
from rsagent_ros.ros.conversions import nanoseconds
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.newest import Newest
from rsagent_ros.ros.parameters import NodeParameters

if TYPE_CHECKING:
    from rsagent_ros.records.writer import RecordWriter

SETTLE = 1.0
"""Seconds that the next goal waits for the record of the last one: far more than a disk takes that works."""

WAITING = 8
"""Goals and verdicts that wait for the disk; more are let go, so that a disk that hangs takes no memory."""

KNOWN = 200
"""Goals that a verdict can still be stored with; as many as the node itself remembers."""


class Recorder:
    """Writes while `record_dir` is set. Thread-safe.

    Attributes:
        problem: Why the last goal or verdict was not stored, or none can be; empty if all is well.
        goals, verdicts: Stored since the node started.
        lost: Goals and verdicts that were not.
    """

    def __init__(self, log: RcutilsLogger, now: Callable[[], int]) -> None:
        """Nothing is written before `open`.

        Args:
            log: Of the node.
            now: Nanoseconds, for images and verdicts without a stamp.
        """
        self._log = log
        self._now = now
        self._writer: RecordWriter | None = None
        self._redact: Redact = redactor("none")
        self._jobs: queue.Queue[Callable[[RecordWriter], None] | None] = queue.Queue(WAITING)
        self._paths: Newest[str, Path] = Newest(KNOWN)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()
        self._pending = 0
        self.problem = ""
        self.goals = self.verdicts = self.lost = 0

    @property
    def folder(self) -> str:
        """Where records go; empty while nothing is recorded."""
        return "" if self._writer is None else str(self._writer.folder)

    @property
    def megabytes(self) -> float:
        """Of all records in the folder."""
        return 0.0 if self._writer is None else self._writer.megabytes

    def open(self, parameters: NodeParameters) -> None:
        """Take over the parameters. A folder that can't be used is a problem that is told, not an error."""
        self.close()
        self.problem = ""
        if not parameters.record_dir:
            return
        from rsagent_ros.records.writer import RecordWriter  # and MCAP with it: memory that only recording takes

        limits = Limits(parameters.record_megabytes, parameters.record_days, parameters.record_free_megabytes)
        try:
            self._redact = redactor(cast(Redaction, parameters.record_redaction))
        except FileNotFoundError as error:  # rather no records than such with faces
            self._failed(f"nothing is recorded: {error}")
            return
        try:
            self._writer = RecordWriter(Path(parameters.record_dir).expanduser(), limits)
        except OSError as error:
            self._failed(f"record_dir {parameters.record_dir!r} can't be used: {describe(error)}")
            return
        self._thread = threading.Thread(target=self._serve, args=(self._writer,), name="records", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is waiting, for no longer than SETTLE, and stop."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self.settle()
            try:
                self._jobs.put_nowait(None)
                thread.join(SETTLE)
            except queue.Full:
                self._log.error("the disk of record_dir hangs; what was waiting for it is lost")
            self._jobs = queue.Queue(WAITING)
        self._writer = None

    def settle(self) -> None:
        """Wait until all is on the disk, but no longer than SETTLE."""
        self._idle.wait(SETTLE)

    def goal(self, run: ActiveGoal, frame: Frame, trace: Trace) -> None:
        """Store a goal that has ended. Returns at once."""
        if self._writer is None:
            return
        record = Record(
            goal_id=run.request.id,
            stamp_ns=nanoseconds(frame.header.stamp) or self._now(),
            camera=frame.camera,
            image=frame.rgb,
            trace=trace,
            depth=frame.depth,
            camera_info=None if frame.camera_info is None else camera_of(frame.camera_info),
            frame_id=frame.header.frame_id,
        )

        def write(writer: RecordWriter) -> None:
            path = writer.write(self._redact(record))
            self.goals += 1
            self._paths[record.goal_id] = path

        self._hand_over(write, f"goal {record.goal_id!r}")

    def verdict(self, message: VerdictMessage) -> None:
        """Store a verdict that the node has accepted. Returns at once."""
        if self._writer is None:
            return
        try:
            verdict = verdict_of(message)
        except (ValueError, RunFailed) as error:
            self._failed(f"the verdict about goal {message.goal_id!r} is not recorded: {describe(error)}")
            return
        if not verdict.stamp_ns:  # it would count less than any other, however late it came
            verdict = replace(verdict, stamp_ns=self._now())

        def write(writer: RecordWriter) -> None:
            path = self._paths.get(verdict.goal_id)
            if path is None:
                raise FileNotFoundError("its goal was not recorded")
            writer.add_verdict(path, verdict)
            self.verdicts += 1

        self._hand_over(write, f"the verdict about goal {verdict.goal_id!r}")

    def _hand_over(self, write: Callable[[RecordWriter], None], what: str) -> None:
        def job(writer: RecordWriter) -> None:
            try:
                write(writer)
            except Exception as error:  # whatever a disk or an encoder does, the node goes on
                self._failed(f"{what} is not recorded: {describe(error)}")
            else:
                self.problem = ""
            finally:
                self._finished()

        with self._lock:
            self._pending += 1
            self._idle.clear()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._failed(f"{what} is not recorded: {WAITING} others are waiting for the disk of {self.folder}")
            self._finished()

    def _finished(self) -> None:
        with self._lock:
            self._pending -= 1
            if not self._pending:
                self._idle.set()

    def _failed(self, sentence: str) -> None:
        self.lost += 1
        self.problem = sentence
        self._log.error(sentence)

    def _serve(self, writer: RecordWriter) -> None:
        jobs = self._jobs
        while (job := jobs.get()) is not None:
            job(writer)
