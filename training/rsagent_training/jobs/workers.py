"""Parallel work on many inputs: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode

Input = TypeVar("Input")
Output = TypeVar("Output")

_AHEAD = 2
"""Tasks that wait for each worker, so that none is idle; more would only be lost by a kill."""


def work_on(
    tasks: Sequence[Input], make: Callable[[], Callable[[Input], Output]], workers: int = 1, ray: str | None = None
) -> Iterator[Output]:
    """Results as they come, in any order unless there is one worker. Blocks between them.

    Args:
        tasks: What to do; must be picklable for more than one worker, like `make` and the results.
        make: Called once in each worker, where it loads what it needs; what it returns is called for each task.
        workers: Processes, or actors on the cluster.
        ray: Address of a Ray cluster ("auto" for the one of this machine, "local" for one of this process's own); None
            for no Ray.

    Raises:
        RunFailed: Ray is asked for and is not installed, a worker process was killed, or `make` or the work raised it.
    """
    if ray is not None:
        yield from _on_ray(tasks, make, workers, ray)
    elif workers == 1:
        work = make()
        for task in tasks:
            yield work(task)
    else:
        yield from _in_processes(tasks, make, workers)


def _in_processes(
    tasks: Sequence[Input], make: Callable[[], Callable[[Input], Output]], workers: int
) -> Iterator[Output]:
    # spawn, because a forked copy of a process with threads (OpenCV, torch) can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(make,)) as pool:
        todo = iter(tasks)
        running: set[Future[Output]] = {
            pool.submit(_next, task) for task in itertools.islice(todo, workers * (1 + _AHEAD))
        }
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(_next, task) for task in itertools.islice(todo, len(done))}
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            sentence = "a worker process was killed, perhaps for its memory; use fewer --workers, and start again"
            raise RunFailed(ErrorCode.INTERNAL, sentence) from error
        finally:
            pool.shutdown(cancel_futures=True)


_work: Callable[[Any], Any] | None = None
"""The work of this worker process."""

_failed: RunFailed | None = None
"""The reason why this worker process has none."""


def _begin(make: Callable[[], Callable[[Any], Any]]) -> None:
    global _work, _failed
    try:
        _work = make()
    except RunFailed as error:  # the first task says so: raised here, it would only break the pool
        _failed = error


def _next(task: Any) -> Any:
    if _failed is not None:
        raise _failed
    if _work is None:
        raise RuntimeError("the worker has not begun")
    return _work(task)


def _on_ray(
    tasks: Sequence[Input], make: Callable[[], Callable[[Input], Output]], workers: int, address: str
) -> Iterator[Output]:
    try:
        import ray
    except ImportError as error:
        sentence = (
            "ray is not installed, and --ray asks for it; in the checkout: pip install -e '.[scale]', or use --workers"
        )
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence) from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, log_to_driver=False, include_dashboard=False if address == "local" else None)
    try:
        actor: Any = ray.remote(_Actor)
        idle = [actor.remote(make) for _ in range(workers)]
        busy: dict[Any, Any] = {}
        for task in tasks:
            if not idle:
                yield from _one_done(ray, busy, idle)
            worker = idle.pop()
            busy[worker.next.remote(task)] = worker
        while busy:
            yield from _one_done(ray, busy, idle)
    finally:
        if ours:
            ray.shutdown()


def _one_done(ray: Any, busy: dict[Any, Any], idle: list[Any]) -> Iterator[Any]:
    (reference,), _ = ray.wait(list(busy), num_returns=1)
    idle.append(busy.pop(reference))
    yield ray.get(reference)


class _Actor:
    """A worker on the cluster."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._work = make()

    def next(self, task: Any) -> Any:
        return self._work(task)
