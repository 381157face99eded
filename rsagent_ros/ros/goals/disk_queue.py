"""`DiskQueue`: jobs for the disk, done one after the other in the thread `recorder`. Nobody else waits for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

RECORDER = "recorder"
"""Name of the thread."""

MEGABYTES = 256.0
"""Memory of the jobs that wait for the disk; more are refused, so that a disk that hangs does not take all there is."""


class DiskQueue:
    """A bounded queue and its thread. Thread-safe."""

    def __init__(self) -> None:
        """Start the thread; it sleeps while there is no job."""
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._bytes = 0
        # A daemon: a disk that hangs for ever must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name=RECORDER, daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Jobs that are not done yet, the one under way included."""
        return self._pending

    def submit(self, job: Callable[[], None], size: int) -> bool:
        """Add a job; returns at once, whether there was room for it.

        Args:
            job: Must not raise.
            size: Bytes that it holds on to; a single job may be of any size.
        """
        with self._lock:
            if self._pending and self._bytes + size > MEGABYTES * 1e6:
                return False
            self._pending += 1
            self._bytes += size
            self._jobs.put((job, size))
            return True

    def close(self, seconds: float) -> bool:
        """End the thread after the jobs that are there. Blocks until then, but no longer than that; returns if it did.

        A thread that hangs is left behind. Nothing may be submitted any more.
        """
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (waiting := self._jobs.get()) is not None:
            job, size = waiting
            try:
                job()
            finally:
                del waiting, job  # the images it holds on to are not kept until the next one
                with self._lock:
                    self._pending -= 1
                    self._bytes -= size
