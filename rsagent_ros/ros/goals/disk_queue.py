"""`DiskQueue`: jobs for the disk, done one after the other in the thread `recorder`. Nobody else waits for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

RECORDER = "recorder"
"""Name of the thread."""

WAITING = 8
"""Jobs that wait for the disk; more are refused, so that a disk that hangs takes no memory."""


class DiskQueue:
    """A bounded queue and its thread. Thread-safe."""

    def __init__(self) -> None:
        """Start the thread; it sleeps while there is no job."""
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        # A daemon: a disk that hangs for ever must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name=RECORDER, daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Jobs that are not done yet, the one under way included."""
        return self._pending

    def submit(self, job: Callable[[], None]) -> bool:
        """Add a job, which must not raise; returns at once, whether there was room for it."""
        with self._lock:
            if self._pending > WAITING:  # one of them is under way
                return False
            self._pending += 1
            self._jobs.put(job)
            return True

    def close(self, seconds: float) -> bool:
        """End the thread after the jobs that are there. Blocks until then, but no longer than that; returns if it did.

        A thread that hangs is left behind. Nothing may be submitted any more.
        """
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            finally:
                del job  # the images it holds on to are not kept until the next one
                with self._lock:
                    self._pending -= 1
