"""`Worker`: the thread in which policy and segmenter work. A model that hangs in it holds up no answer."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

WORKER = "worker"
"""Name of the thread."""

CLOSING = 1.0
"""Seconds that `close` waits for an idle thread to end."""


class Worker:
    """Runs one job at a time, and knows whether the last one has come back since its goal ended. Thread-safe.

    All jobs run in the same thread. Libraries keep things for each thread that has called them, and OpenCV never gives
    them back: a thread for every goal would be a leak.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()
        self._idle.set()
        self._abandoned = 0.0

    @property
    def busy(self) -> bool:
        """Whether a job has not come back yet."""
        return not self._idle.is_set()

    @property
    def overdue(self) -> float:
        """Seconds since the goal of a job ended that is still busy; 0 where there is none."""
        with self._lock:
            return time.monotonic() - self._abandoned if self._abandoned and self.busy else 0.0

    def start(self, job: Callable[[], None]) -> None:
        """Run a job; returns at once.

        Raises:
            RuntimeError: The last one has not come back; policy and segmenter serve one thread at a time.
        """
        with self._lock:
            if self.busy:
                raise RuntimeError("the worker is busy")
            self._abandoned = 0.0
            self._idle.clear()
            self._jobs.put(job)
            if self._thread is None:
                # A daemon: a job that hangs for ever must not keep the process from ending.
                self._thread = threading.Thread(target=self._serve, name=WORKER, daemon=True)
                self._thread.start()

    def abandon(self) -> None:
        """Give the job up: its goal has ended, what it brings back is discarded, and from now on it is overdue."""
        with self._lock:
            self._abandoned = time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Block until no job is busy or the time is over; returns whether none is."""
        return self._idle.wait(max(0.0, seconds))

    def close(self) -> None:
        """End the thread; one that is busy is not waited for, and ends with its job. Blocks for milliseconds."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            if not self.busy:
                thread.join(CLOSING)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except BaseException:  # SystemExit, too: the thread is for all jobs
                log.exception("a policy or segmenter broke off its work")
            finally:
                del job  # what it holds on to, such as images, is not kept until the next one
                self._idle.set()
