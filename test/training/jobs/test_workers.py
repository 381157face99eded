"""The same results from one process, from several and from Ray; a worker that fails is heard of."""

from __future__ import annotations

import os
import sys
from functools import partial

import pytest
from failing_work import failing, no_model

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_training.jobs.workers import work_on

# divmod is a work that any process can be sent: of 0 it fails.
MAKE = partial(partial, divmod, 100)
TASKS = range(1, 9)
WANTED = [divmod(100, number) for number in TASKS]


def test_one_worker_works_in_this_process_and_in_order() -> None:
    assert list(work_on(TASKS, MAKE)) == WANTED


def test_several_processes_do_all_tasks_once() -> None:
    assert sorted(work_on(TASKS, MAKE, workers=2)) == sorted(WANTED)
    with pytest.raises(ZeroDivisionError):
        list(work_on([1, 0, 2], MAKE, workers=2))


def test_a_worker_that_is_killed_is_heard_of() -> None:
    with pytest.raises(RunFailed, match=r"a worker process was killed, .*start again"):
        list(work_on([1, 2], partial(partial, os._exit), workers=2))


@pytest.mark.timeout(300)  # a cluster of its own is started for it
def test_ray_does_all_tasks_once() -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    assert sorted(work_on(TASKS, MAKE, workers=1, ray="local")) == sorted(WANTED)


def test_without_ray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunFailed, match=r"ray is not installed, and --ray asks for it.*pip install .*\[scale\]"):
        list(work_on([1], MAKE, ray="auto"))


@pytest.mark.parametrize("workers", [1, 2])
def test_why_a_worker_can_not_work_is_said(workers: int) -> None:
    with pytest.raises(RunFailed, match="MODEL_UNAVAILABLE: there are no weights") as caught:
        list(work_on([1, 2], partial(no_model, "there are no weights"), workers=workers))
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    with pytest.raises(RunFailed, match="INVALID_GOAL: task 1 has no words"):
        list(work_on([1], failing, workers=workers))
