"""Threads for calls that may hang: each does one call after the other, and one that hangs keeps no process alive.

They are kept from call to call: compiled models are bound to the thread that compiled them, and OpenCV never gives back
what it holds for a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any


class DaemonThread:
    """One thread, for one call at a time."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Have the thread call a function; returns at once, and its result comes by the future."""
        future: Future[Any] = Future()
        self._calls.put((function, future))
        return future

    def end(self) -> None:
        """Take no more calls."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, future = call
            try:
                future.set_result(function())
            except BaseException as error:  # it belongs to the caller, who waits for it
                future.set_exception(error)
            del call, function, future  # an idle thread must not keep an image


class DaemonThreads:
    """Threads to lend out, made as they are needed. Thread-safe."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[DaemonThread] = []
        self._lent = 0
        self._closed = False
        self._lock = threading.Lock()

    @property
    def lent(self) -> int:
        """Number of threads that are lent out now, those that hang included."""
        return self._lent

    def lend(self) -> DaemonThread:
        """A thread that nobody else uses, until it is given back."""
        with self._lock:
            self._lent += 1
            return self._idle.pop() if self._idle else DaemonThread(self._name)

    def give_back(self, thread: DaemonThread) -> None:
        """Take back a thread whose call has returned; one that hangs is never given back."""
        with self._lock:
            self._lent -= 1
            if self._closed:
                thread.end()
            else:
                self._idle.append(thread)

    def close(self) -> None:
        """End the threads that are not lent out, and the others when they come back. Does not block."""
        with self._lock:
            self._closed = True
            while self._idle:
                self._idle.pop().end()
