"""Many worker processes, on this machine or on a cluster, through Ray (`pip install -e '.[scale]'`).

Each worker loads its models once. The samples are read here and sent to the workers, so only this machine needs the
data. A worker that dies is replaced, and what it had under way is begun again, each sample alone in a worker; one that
takes its worker with it `MAX_ATTEMPTS` times counts as failed, with 0 like every failure.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.backends import Models
from rsagent_ros.evaluation.answering import Answering, WorkItem
from rsagent_ros.evaluation.results import NO_TRACE, ExampleResult, Measured
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import score

MAX_ATTEMPTS = 3
READY_SECONDS = 1800.0
"""Seconds that loading the models, and waiting for room on the cluster, may take."""

_OBJECT_STORE_BYTES = 500_000_000


@dataclass(frozen=True)
class Workers:
    """Worker processes, and where they run.

    Attributes:
        count: Worker processes.
        in_flight: Episodes at a time in each.
        address: Of a Ray cluster, such as `10.0.0.1:6379` or `auto`; empty for processes of this machine.
        gpus: For each worker; 0.5 lets two share one. Without any a worker sees no GPU.

    Raises:
        ValueError: A number that can't be.
    """

    count: int
    in_flight: int = 1
    address: str = ""
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 1 or self.in_flight < 1 or self.gpus < 0:
            raise ValueError(f"{self.count} workers, {self.in_flight} in flight, {self.gpus:g} GPUs: that can't be")


class _Worker:
    """Entry of a worker process."""

    def __init__(self, open_models: Callable[[], Models], budget: Budget, seed: int) -> None:
        self._answering = Answering(open_models(), budget, seed)

    def ready(self) -> bool:
        return True

    def result(self, item: WorkItem) -> ExampleResult:
        return self._answering.result(item)


@dataclass(eq=False)
class _Slot:
    """A place for a worker; who holds it changes when one dies."""

    actor: Any


@dataclass(frozen=True)
class _Begun:
    """An example under way: in which slot and with whom, which attempt it is, and how many places it takes there."""

    item: WorkItem
    slot: _Slot
    actor: Any
    attempt: int = 1
    places: int = 1


def answer_on_workers(
    items: Iterator[WorkItem], open_models: Callable[[], Models], budget: Budget, seed: int, workers: Workers
) -> Iterator[ExampleResult]:
    """The results of all examples, as they are finished.

    Args:
        items: Asked for one at a time, as there is room.
        open_models: Called once in each worker; it must be picklable.
        budget: Of each episode.
        seed: As in Answering.
        workers: How many, and where.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: Ray is not installed or not to be reached, or the models can't be loaded.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        sentence = "--workers and --ray need Ray, which is not installed; in the checkout: pip install -e '.[scale]'"
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence) from error
    started = not ray.is_initialized()
    if started:
        _connect(ray, workers)
    try:
        yield from _answer(ray, items, open_models, budget, seed, workers)
    finally:
        if started:
            ray.shutdown()


def _connect(ray: Any, workers: Workers) -> None:
    try:
        if workers.address:
            ray.init(address=workers.address, log_to_driver=False)
        else:
            # Ray makes its workers give way to everything else (nice 15); here they are what the machine is for.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(
                num_cpus=workers.count,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_OBJECT_STORE_BYTES,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"the Ray cluster at {workers.address} can't be reached" if workers.address else "Ray did not start"
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"{where}: {' '.join(str(error).split())[:300]}") from error


def _answer(
    ray: Any, items: Iterator[WorkItem], open_models: Callable[[], Models], budget: Budget, seed: int, workers: Workers
) -> Iterator[ExampleResult]:
    remote = ray.remote(_Worker).options(num_cpus=1, num_gpus=workers.gpus, max_concurrency=workers.in_flight)

    def hire() -> Any:
        return remote.remote(open_models, budget, seed)

    slots = [_Slot(hire()) for _ in range(workers.count)]
    _wait_until_ready(ray, [slot.actor for slot in slots])
    room = slots * workers.in_flight
    pending: dict[Any, _Begun] = {}
    again: list[tuple[WorkItem, int]] = []
    try:
        while True:
            while room:
                if again:
                    # Alone in a worker: what shared one with a sample that kills it is not to die of that every time.
                    idle = next((slot for slot in slots if room.count(slot) == workers.in_flight), None)
                    if idle is None:
                        break
                    item, attempt = again.pop()
                    room = [slot for slot in room if slot is not idle]
                    begun = _Begun(item, idle, idle.actor, attempt, workers.in_flight)
                elif (fresh := next(items, None)) is not None:
                    slot = room.pop()
                    begun = _Begun(fresh, slot, slot.actor)
                else:
                    break
                pending[begun.actor.result.remote(begun.item)] = begun
            if not pending:
                return
            (finished,), _ = ray.wait(list(pending), num_returns=1)
            begun = pending.pop(finished)
            room += [begun.slot] * begun.places
            try:
                result = ray.get(finished)
            except ray.exceptions.RayActorError:
                if begun.slot.actor is begun.actor:  # only the first of those it had under way sees the old one
                    begun.slot.actor = hire()
                if begun.attempt < MAX_ATTEMPTS:
                    again.append((begun.item, begun.attempt + 1))
                    continue
                result = _lost(begun.item)
            except ray.exceptions.RayTaskError as error:
                cause = error.as_instanceof_cause()
                raise cause if isinstance(cause, RunFailed) else error from error
            measured = dataclasses.replace(result.measured, attempts=begun.attempt)
            yield msgspec.structs.replace(result, measured=measured)
    finally:
        for slot in slots:
            ray.kill(slot.actor)


def _wait_until_ready(ray: Any, actors: list[Any]) -> None:
    try:
        ray.get([actor.ready.remote() for actor in actors], timeout=READY_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise RunFailed(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{len(actors)} workers were not ready after {READY_SECONDS:g} s; ask for fewer, or for fewer GPUs each",
        ) from error
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"a worker could not load its models: {lines[-1]}") from error


def _lost(item: WorkItem) -> ExampleResult:
    """The result of an example that no worker survives."""
    answer = Prediction(
        Outcome.FAILED,
        error_code=ErrorCode.INTERNAL.name,
        error_msg=f"its worker process died {MAX_ATTEMPTS} times, perhaps for want of memory",
    )
    remarks = tuple(f"{item.where}: {remark}" for remark in item.example.remarks)
    return ExampleResult(score(answer, item.example, index=item.index), Measured(), None, remarks, NO_TRACE)
