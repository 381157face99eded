"""The thread in which policy and segmenter work. No goal waits for it: a model that hangs holds up none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

WORKER = "worker"
"""Name of the thread."""


class Worker:
    """Runs one job at a time, and knows whether the last one has come back since its goal ended. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: threading.Thread | None = None
        self._abandoned = 0.0

    @property
    def busy(self) -> bool:
        """Whether a job has not come back yet."""
        job = self._job
        return job is not None and job.is_alive()

    @property
    def overdue(self) -> float:
        """Seconds since the goal of a job ended that is still busy; 0 where there is none."""
        with self._lock:
            return time.monotonic() - self._abandoned if self._abandoned and self.busy else 0.0

    def start(self, job: Callable[[], None]) -> None:
        """Run a job in a thread of its own; returns at once.

        Raises:
            RuntimeError: The last one has not come back; policy and segmenter serve one thread at a time.
        """
        with self._lock:
            if self.busy:
                raise RuntimeError("the worker is busy")
            self._abandoned = 0.0
            # A daemon: a job that hangs for ever must not keep the process from ending.
            self._job = threading.Thread(target=job, name=WORKER, daemon=True)
            self._job.start()

    def abandon(self) -> None:
        """The job's goal has ended: what it brings back is of no use, and from now on it is overdue."""
        with self._lock:
            self._abandoned = time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Block until no job is busy or the time is over; returns whether none is."""
        job = self._job
        if job is not None:
            job.join(max(0.0, seconds))
        return not self.busy
