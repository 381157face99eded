from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from rsagent_ros.model_server.engine_probe import EngineProbe
from rsagent_ros.model_server.supervisor import Supervisor, SupervisorTimeouts

FOREVER = 60.0
SERVER = Path(__file__).with_name("fake_vllm.py")
QUICK = SupervisorTimeouts(start=FOREVER, hang=0.2, end=1.0, poll=0.02, probe=0.01, backoff=0.01, restarts=2)


class Served:
    """A supervisor in a thread, and the folder through which its server is told what to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stop = threading.Event()
        self.healthy = threading.Semaphore(0)
        self._pool = ThreadPoolExecutor(1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.mode("well")

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def mode(self, name: str) -> None:
        (self.folder / "mode").write_text(name, encoding="utf-8")

    def run(self, timeouts: SupervisorTimeouts = QUICK, command: list[str] | None = None) -> Future[int]:
        words = command or [sys.executable, str(SERVER), "serve", "model", "--port", str(self.port)]
        environment = os.environ | {"FAKE_VLLM": str(self.folder)}
        works = EngineProbe(self.root, "model", "secret")
        supervisor = Supervisor(words, environment, self.root, timeouts, self.healthy.release, works)
        return self._pool.submit(supervisor.run, self.stop)

    def wait_healthy(self) -> None:
        assert self.healthy.acquire(timeout=FOREVER)

    def starts(self) -> list[tuple[int, int]]:
        """Process ids of every server so far, with its worker's."""
        path = self.folder / "starts"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [(int(server), int(worker)) for server, worker in map(str.split, lines)]

    def close(self) -> None:
        self.stop.set()
        self._pool.shutdown()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    running = Served(tmp_path)
    yield running
    running.close()
    until(lambda: not any(map(alive, running.starts())))


def alive(processes: tuple[int, int]) -> bool:
    """Whether a server or its worker still runs."""
    for pid in processes:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def until(what: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + FOREVER
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_runs_until_it_is_told_to_stop_and_leaves_nothing_behind(served: Served) -> None:
    done = served.run()
    served.wait_healthy()
    served.stop.set()
    assert done.result(FOREVER) == 0
    assert len(served.starts()) == 1
    until(lambda: not alive(served.starts()[0]))


def test_a_server_that_dies_is_started_again(served: Served) -> None:
    done = served.run()
    served.wait_healthy()
    os.kill(served.starts()[0][0], signal.SIGKILL)
    served.wait_healthy()
    assert not done.done()
    assert len(served.starts()) == 2
    until(lambda: not alive(served.starts()[0]))  # its worker too: it would keep the GPU's memory


def test_a_server_that_hangs_is_started_again(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    served.run()
    served.wait_healthy()
    served.mode("sick")
    until(lambda: len(served.starts()) == 2)
    served.mode("well")
    served.wait_healthy()
    assert "has failed its health checks" in caplog.text


def test_a_server_whose_engine_hangs_in_good_health_is_started_again(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.run()
    served.wait_healthy()
    until((served.folder / "asked").exists)
    served.mode("hung")
    until(lambda: len(served.starts()) == 2)
    served.mode("well")
    served.wait_healthy()
    assert "its engine did nothing for" in caplog.text
    assert set((served.folder / "asked").read_text(encoding="utf-8").splitlines()) == {"1 model Bearer secret"}


def test_a_server_that_is_only_busy_is_left_alone(served: Served) -> None:
    served.mode("busy")
    done = served.run()
    served.wait_healthy()
    until(lambda: (served.folder / "asked").exists() and len((served.folder / "asked").read_text().splitlines()) > 3)
    assert not done.done()
    assert len(served.starts()) == 1


def test_a_server_that_answers_junk_is_started_again(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    done = served.run()
    served.wait_healthy()
    served.mode("junk")
    until(lambda: done.done() or len(served.starts()) == 2)
    assert not done.done()
    served.mode("well")
    served.wait_healthy()
    assert "has failed its health checks" in caplog.text


def test_a_server_that_never_becomes_healthy_is_given_up(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    served.mode("sick")
    assert served.run(SupervisorTimeouts(start=0.1, end=1.0, poll=0.02, backoff=0.01, restarts=1)).result(FOREVER) == 1
    assert "was not healthy within" in caplog.text
    assert "failed 2 times in a row" in caplog.text


def test_a_server_that_ends_at_once_is_not_started_for_ever(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served.mode("exit")
    assert served.run().result(FOREVER) == 1
    assert len(served.starts()) == 3
    assert "ended with code 3" in caplog.text


def checked_three_times(checks: Path, server: str) -> bool:
    return checks.read_text().split().count(server) >= 3


def test_failures_before_a_long_good_time_do_not_count(served: Served) -> None:
    done = served.run(SupervisorTimeouts(start=FOREVER, end=1.0, poll=0.02, backoff=0.01, proven=1e-6, restarts=0))
    for number in range(3):
        served.wait_healthy()
        server = served.starts()[number][0]
        # The third check begins when the second is over: by then it was healthy for longer than what proves it.
        until(partial(checked_three_times, served.folder / "checked", str(server)))
        os.kill(server, signal.SIGKILL)
    served.wait_healthy()
    assert not done.done()


def test_a_server_that_does_not_end_when_asked_is_killed(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    served.mode("stubborn")
    done = served.run(SupervisorTimeouts(end=0.1, poll=0.02))
    served.wait_healthy()
    served.stop.set()
    assert done.result(FOREVER) == 0
    assert "did not end within 0.1 s" in caplog.text


def test_a_port_that_is_taken_is_said_so(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", served.port)):
        assert served.run().result(FOREVER) == 1
    assert f"already listens at {served.root}" in caplog.text
    assert served.starts() == []


def test_an_executable_that_is_not_there_is_said_so(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert served.run(command=["/nowhere/vllm", "serve"]).result(FOREVER) == 1
    assert "/nowhere/vllm can't be started: No such file or directory" in caplog.text


def test_a_supervisor_that_is_killed_takes_its_server_along(served: Served) -> None:
    program = (
        "import os, sys, threading\n"
        "from rsagent_ros.model_server.supervisor import Supervisor\n"
        f"command = [sys.executable, {str(SERVER)!r}, 'serve', 'model', '--port', '{served.port}']\n"
        f"Supervisor(command, os.environ, {served.root!r}).run(threading.Event())\n"
    )
    environment = os.environ | {"FAKE_VLLM": str(served.folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    until(lambda: len(served.starts()) == 1)
    process.kill()
    process.wait()
    server, worker = served.starts()[0]
    until(lambda: not alive((server, server)))
    os.kill(worker, signal.SIGKILL)  # vLLM's own workers notice by themselves that their parent is gone
