"""Keeper of a comparison's worker process: starts it when there is time, pauses it, restarts it when it dies."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from rsagent_ros.agent.errors import describe
from rsagent_ros.shadow.paired_result import PairedResult

log = logging.getLogger(__name__)

State = Literal["waiting", "starting", "running", "done", "paused", "given up", "closed"]
"""Literally so in what the worker says."""

MAX_LINE = 100_000
LOG = "worker.log"
"""Output of the worker and its libraries, newest process only."""


@dataclass(frozen=True)
class ProcessTimeouts:
    """Timeouts of the worker process, in seconds.

    Attributes:
        pause: From `pause` to the worker's word that it has stopped; one that hangs, or that is loading models, is
            killed then.
        keep: A worker that is paused for longer is ended, so that its models' memory is free.
        end: Between its stdin being closed, or its last word, and the kill; nothing is lost by that.
        backoff: Before the first restart; each further one in a row twice as long, at most 600 s.
        restarts: In a row without a single answer; one more, and the comparison is given up.
    """

    pause: float = 2.0
    keep: float = 60.0
    end: float = 1.0
    backoff: float = 5.0
    restarts: int = 4


class ShadowProcess:
    """One worker at a time, steered from any thread; nothing here blocks but `close`.

    Attributes:
        state: Of the worker. `waiting`: for a first `go`, or to be started again.
        result: The last one it told; None before the first.
        problem: Why the last worker failed, until another one has an answer, or why the comparison was given up.
        starts: Processes that were started.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        timeouts: ProcessTimeouts | None = None,
    ) -> None:
        """Begin paused; nothing runs before the first `go`.

        Args:
            command: The worker and its arguments.
            folder: For its log.
            timeouts: Of the worker.
        """
        self._command = list(command)
        self._folder = folder
        self._timeouts = timeouts or ProcessTimeouts()
        self._change = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._go = False
        self._sent_go = False
        self._unpaused_since: float | None = None  # it was asked to pause, and has not confirmed it yet
        self._paused_since = 0.0
        self._leaving_since: float | None = None
        self._answered = False
        self._last_problem = ""
        self._closed = False
        self.state: State = "waiting"
        self.result: PairedResult | None = None
        self.problem = ""
        self.starts = 0
        self._thread = threading.Thread(target=self._keep, name="shadow", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def go(self) -> None:
        """Let the worker run: the robot is idle. The worker is told so before this returns. Idempotent."""
        with self._change:
            if not self._go:
                self._go = True
                self._steer()
                self._change.notify_all()

    def pause(self) -> None:
        """Have the worker pause: the robot is busy. The worker is told so before this returns. Idempotent."""
        with self._change:
            if self._go:
                self._go = False
                self._steer()
                self._change.notify_all()

    def close(self) -> None:
        """End it; blocks until it is gone, `ProcessTimeouts.end` at most and then some milliseconds."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join()

    # The lock is held in what follows, but for `_keep`, `_start` and `_listen`.

    def _steer(self) -> None:
        """Tell the worker what is wanted, if it does not know yet."""
        process = self._process
        if process is None or process.stdin is None or self._leaving_since is not None or self._sent_go == self._go:
            return
        self._sent_go = self._go
        with contextlib.suppress(OSError):  # it has just died, or is so full of unread lines that it must be hung
            os.write(process.stdin.fileno(), b"go\n" if self._go else b"pause\n")
        if not self._go:
            self._paused_since = time.monotonic()
            self._unpaused_since = self._unpaused_since or self._paused_since

    def _keep(self) -> None:
        """The thread of this object: from start to start, until it is closed or given up."""
        failures = 0
        while self._wait_for_go():
            self._answered = False
            try:
                problem = self._watch(self._start())
            except OSError as error:
                problem = f"it can't be started: {describe(error)}"
            with self._change:
                self._process = None
                self.state = "waiting"
                failures = 0 if self._answered or not problem else failures + 1
                if self._closed or not problem:
                    continue
                self.problem = problem
                log.warning("the shadow process failed: %s", problem)
                if failures > self._timeouts.restarts:
                    self.problem = f"given up after {failures} tries in a row: {problem}"
                    self.state = "given up"
                    return
                wait = min(600.0, self._timeouts.backoff * 2 ** max(0, failures - 1))
                self._change.wait_for(lambda: self._closed, wait)
        self.state = "closed"

    def _wait_for_go(self) -> bool:
        with self._change:
            self._change.wait_for(lambda: self._go or self._closed)
            return not self._closed

    def _start(self) -> subprocess.Popen[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / LOG).open("wb") as log_file:
            # A session of its own: Ctrl-C in a terminal is for who started it, and reaches it as the end of stdin.
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log_file, start_new_session=True
            )
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
        with self._change:
            self._process = process
            self._sent_go = False
            self._unpaused_since = self._leaving_since = None
            self._last_problem = ""
            self.starts += 1
            self.state = "starting"
            self._steer()
        self._listener = threading.Thread(target=self._listen, args=(process,), name="shadow listening", daemon=True)
        self._listener.start()
        return process

    def _watch(self, process: subprocess.Popen[bytes]) -> str:
        """Look after it until it is gone; returns what went wrong, empty if nothing did."""
        timeouts = self._timeouts
        interrupted = False
        with self._change:
            while process.poll() is None:
                now = time.monotonic()
                idle = not self._go and now - self._paused_since > timeouts.keep
                if self._leaving_since is None and (self._closed or idle):
                    self._leaving_since = now
                    _close(process)
                if self._unpaused_since is not None and now - self._unpaused_since > timeouts.pause:
                    interrupted = True
                    log.info("the shadow process did not stop within %g s, and is killed", timeouts.pause)
                    _kill(process)
                elif self._leaving_since is not None and now - self._leaving_since > timeouts.end:
                    _kill(process)
                self._change.wait(0.05)
            self._process = None  # nobody steers it any more
            _close(process)
        _kill(process)  # what it has left behind, and may hold its stdout
        self._listener.join()  # all that it wrote has been read
        code = process.wait()
        # To be interrupted is no fault of it: models take a minute to load, and goals come when they like.
        if interrupted or (self._leaving_since is not None and not self._last_problem):
            return ""
        return self._last_problem or _death(code, self._folder / LOG)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Take what it says, in a thread that ends with it."""
        if process.stdout is None:
            raise RuntimeError("the worker was started without stdout")
        with process.stdout as lines:
            while line := lines.readline(MAX_LINE):
                try:
                    message = json.loads(line)
                    with self._change:
                        self._take_in(message)
                        self._change.notify_all()
                except (ValueError, TypeError, KeyError) as error:
                    log.warning("a line of the shadow process cannot be used: %s", describe(error))

    def _take_in(self, message: dict[str, Any]) -> None:
        if "state" in message:
            self.state = message["state"]
            if self.state == "paused":
                self._unpaused_since = None
        if "goal" in message:
            self._answered = self._answered or bool(message["goal"]["answered"])
            self.problem = "" if self._answered else self.problem
        if "result" in message:
            self.result = msgspec.convert(message["result"], PairedResult)
        if "problem" in message:
            self._last_problem = str(message["problem"])
            self._leaving_since = time.monotonic()


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close its stdin: it is to end."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the worker and all that it started: the group is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _death(code: int, log_file: Path) -> str:
    """Why a process may have ended, in words."""
    how = f"ended with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
    return f"it {how}; its last lines are in {log_file}"
