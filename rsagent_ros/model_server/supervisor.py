"""Supervisor of a server: start it, wait until it is healthy, restart it when it dies or hangs, end it cleanly."""

from __future__ import annotations

import ctypes
import http.client
import logging
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
# Loopback is never behind a proxy.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class SupervisorTimeouts:
    """Timeouts of a supervisor, in seconds, and its limit of restarts.

    Attributes:
        start: Time for a start, until it is healthy for the first time: weights are read, graphs are captured.
        hang: Time of failed health checks after which it is restarted.
        end: Time between SIGTERM and SIGKILL.
        poll: Interval of health checks.
        probe: Pause between two requests for a token, to see whether the engine behind good health works. Each has
            `hang` seconds.
        backoff: Pause before the first restart; each further one in a row is twice as long, at most 60 s.
        proven: Time in good health after which earlier failures no longer count.
        restarts: Most restarts in a row; after one more failure the supervisor gives up.
    """

    start: float = 900.0
    hang: float = 60.0
    end: float = 15.0
    poll: float = 0.5
    probe: float = 30.0
    backoff: float = 1.0
    proven: float = 60.0
    restarts: int = 5


class Supervisor:
    """Runs one command that serves HTTP, in a process group of its own."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        root: str,
        timeouts: SupervisorTimeouts | None = None,
        on_healthy: Callable[[], None] = lambda: None,
        works: Callable[[float], bool] = lambda _: True,
    ) -> None:
        """Take a command; nothing runs yet.

        Args:
            command: The command and its arguments.
            environment: All environment variables of the command.
            root: Its URL; it is healthy when GET /health answers 200.
            timeouts: Timeouts; the defaults if None.
            on_healthy: Called each time it has become healthy.
            works: Says whether its engine did anything within that many seconds; blocks, and runs in another thread.
        """
        self._command = list(command)
        self._environment = dict(environment)
        self._root = root
        self._timeouts = timeouts or SupervisorTimeouts()
        self._on_healthy = on_healthy
        self._works = works

    def run(self, stop: threading.Event) -> int:
        """Keep it running until `stop` is set; blocks until then and until the server is gone.

        Returns:
            0 after a stop, 1 when the server failed too often in a row or can't be started; the log says why.
        """
        if _taken(self._root):
            log.error("another program already listens at %s; stop it, or choose another port", self._root)
            return 1
        failures = 0
        while not stop.is_set():
            try:
                process = subprocess.Popen(
                    self._command, env=self._environment, start_new_session=True, preexec_fn=_end_with_parent
                )
            except OSError as error:
                log.error("%s can't be started: %s", self._command[0], error.strerror)
                return 1
            pool = ThreadPoolExecutor(1, "model_server_probe")
            try:
                healthy = self._watch(process, stop, pool)
            finally:
                self._end(process)
                pool.shutdown()  # at once: what it asks is gone
            if stop.is_set():
                break
            failures = 0 if healthy >= self._timeouts.proven else failures + 1
            if failures > self._timeouts.restarts:
                log.error("the server failed %d times in a row; giving up, see its own log for the reason", failures)
                return 1
            wait = min(60.0, self._timeouts.backoff * 2 ** max(0, failures - 1))
            log.warning("restarting the server in %g s", wait)
            stop.wait(wait)
        return 0

    def _watch(self, process: subprocess.Popen[bytes], stop: threading.Event, pool: Executor) -> float:
        """Watch it until it ends, hangs, or `stop` is set; returns the seconds that it was healthy."""
        first = last = 0.0
        started = time.monotonic()
        works: Future[bool] | None = None
        next_probe = 0.0
        while not stop.wait(self._timeouts.poll):
            code = process.poll()
            now = time.monotonic()
            if code is not None:
                log.error("the server ended with code %d", code)
                break
            if works is not None and works.done():
                if not works.result():
                    log.error(
                        "the server says that it is healthy, but its engine did nothing for %.0f s", self._timeouts.hang
                    )
                    break
                works, next_probe = None, now + self._timeouts.probe
            if _healthy(self._root):
                last = time.monotonic()
                if not first:
                    first = last
                    log.info("the server is healthy at %s after %.0f s", self._root, first - started)
                    self._on_healthy()
                if works is None and now >= next_probe:
                    works = pool.submit(self._works, self._timeouts.hang)
            elif first and now - last > self._timeouts.hang:
                log.error("the server has failed its health checks for %.0f s", now - last)
                break
            elif not first and now - started > self._timeouts.start:
                log.error("the server was not healthy within %.0f s", now - started)
                break
        return last - first

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End its process group; workers of a dead server would keep the GPU's memory."""
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(self._timeouts.end)
        except subprocess.TimeoutExpired:
            log.warning("the server did not end within %g s; killing it", self._timeouts.end)
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _end_with_parent() -> None:
    """End the child when its parent dies; a server that outlives a killed supervisor would hold the GPU's memory."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        log.debug("the process group %d is gone", process.pid)


def _healthy(root: str) -> bool:
    try:
        with _OPENER.open(f"{root}/health", timeout=5.0) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):  # the latter is an answer that is no HTTP, and no OSError
        return False


def _taken(root: str) -> bool:
    """Whether a program listens at this URL."""
    url = urlsplit(root)
    try:
        socket.create_connection((str(url.hostname), int(url.port or 80)), timeout=1.0).close()
    except OSError:
        return False
    return True
