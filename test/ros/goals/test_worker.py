"""The thread of the models: one job at a time, always the same thread, and nobody waits for one that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from rsagent_ros.ros.goals.worker import WORKER, Worker

PATIENCE = 20.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_all_jobs_run_in_one_thread(worker: Worker) -> None:
    threads: list[int] = []
    for _ in range(3):
        worker.start(lambda: threads.append(threading.get_ident()))
        assert worker.wait(PATIENCE)
    assert len(threads) == 3
    assert len(set(threads)) == 1 != threads.count(threading.get_ident())


def waiting_for(event: threading.Event) -> Callable[[], None]:
    def wait() -> None:
        event.wait()

    return wait


def test_a_job_that_hangs_is_overdue_once_it_is_abandoned(worker: Worker) -> None:
    release = threading.Event()
    worker.start(waiting_for(release))
    assert worker.busy
    assert worker.overdue == 0.0
    assert not worker.wait(0.01)
    with pytest.raises(RuntimeError, match="busy"):
        worker.start(lambda: None)
    worker.abandon()
    assert worker.overdue > 0.0
    release.set()
    assert worker.wait(PATIENCE)
    assert worker.overdue == 0.0


@pytest.mark.parametrize("error", [SystemExit(1), ValueError("a fault that was injected")])
def test_a_job_that_raises_does_not_end_the_thread(worker: Worker, error: BaseException) -> None:
    def end() -> None:
        raise error

    worker.start(end)
    assert worker.wait(PATIENCE)
    done = threading.Event()
    worker.start(done.set)
    assert done.wait(PATIENCE)


def test_the_thread_ends_with_the_worker() -> None:
    worker, release = Worker(), threading.Event()
    worker.start(waiting_for(release))
    (thread,) = [one for one in threading.enumerate() if one.name == WORKER]
    worker.close()  # does not wait for the job
    assert thread.is_alive()
    release.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
