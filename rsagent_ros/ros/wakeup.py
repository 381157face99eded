"""`Wakeup`: one thread waits for news that other threads bring, with a time limit."""

from __future__ import annotations

import contextlib
import queue
import time


class Wakeup:
    """News for one waiting thread. Thread-safe; news that comes while nobody waits is not lost.

    Attributes:
        stopped: Set by `stop`: whatever is waited for is no longer wanted.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()

    def poke(self) -> None:
        """Wake the waiting thread: something has happened. Does not block."""
        self._news.put(None)

    def stop(self) -> None:
        """Wake the waiting thread for good. Does not block; idempotent."""
        self.stopped = True
        self.poke()

    def wait(self, until: float) -> None:
        """Block until something has happened, or `time.monotonic()` is `until`."""
        with contextlib.suppress(queue.Empty):
            self._news.get(timeout=max(0.0, until - time.monotonic()))
