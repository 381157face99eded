"""Which goal runs, and that each ends exactly once. Without DDS: the desk is plain threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import product

import pytest
from rsagent_ros.msg import Goal
from rsagent_ros.msg import Result as ResultMessage

from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.ros.goals import Desk, Request, Run, Source, precedence
from rsagent_ros.ros.parameters import NodeParameters

PATIENCE = 20.0


class Work:
    """Runs goals until they are stopped or released, and keeps how each ended."""

    def __init__(self) -> None:
        self.ends: dict[str, Result] = {}
        self.order: list[str] = []
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def run(self, run: Run) -> None:
        self.order.append(run.request.id)
        self.begun.release()
        while run.ending is None and not self.released.is_set():
            run.wait(run.deadline)
        self.end(run, run.ending or Result(Outcome.FOUND))

    def end(self, run: Run, result: Result) -> None:
        assert run.request.id not in self.ends, "it ended twice"
        self.ends[run.request.id] = result
        run.close(ResultMessage())


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def desk(work: Work) -> Iterator[Desk]:
    desk = Desk(work.run, work.end)
    desk.open()
    yield desk
    desk.close(Outcome.SHUTDOWN, "the test is over")


def run_of(name: str, source: Source = "topic", *, topic_preempts_action: bool = False, **fields: object) -> Run:
    goal = Goal(id=name, instruction="a thing", **fields)
    return Run(Request.of(goal, source), NodeParameters(topic_preempts_action=topic_preempts_action))


def test_the_newest_goal_wins_but_a_topic_does_not_interrupt_an_action() -> None:
    sources: tuple[Source, ...] = ("action", "topic")
    decided = {
        (new, running, may): precedence(new, running, topic_preempts_action=may)
        for new, running, may in product(sources, (None, *sources), (False, True))
    }
    assert {decision for (_, running, _), decision in decided.items() if running is None} == {"run"}
    refused = [case for case, decision in decided.items() if decision == "refuse"]
    assert refused == [("topic", "action", False)]


def test_a_goal_runs_to_its_end(desk: Desk, work: Work) -> None:
    work.released.set()
    run = run_of("a")
    desk.submit(run)
    assert run.closed.wait(PATIENCE)
    assert work.ends["a"].outcome is Outcome.FOUND


def test_who_waits_is_answered_at_once_when_a_newer_goal_comes() -> None:
    work, gate = Work(), threading.Event()

    def stubborn(run: Run) -> None:
        work.begun.release()
        assert gate.wait(PATIENCE)
        work.end(run, run.ending or Result(Outcome.FOUND))

    desk = Desk(stubborn, work.end)
    desk.open()
    runs = [run_of(name) for name in "abc"]
    desk.submit(runs[0])
    assert work.begun.acquire(timeout=PATIENCE)
    desk.submit(runs[1])
    desk.submit(runs[2])
    assert runs[1].closed.is_set()  # while "a" is still at work
    assert work.ends["b"].outcome is Outcome.PREEMPTED
    assert "'c'" in work.ends["b"].error_msg
    gate.set()
    assert runs[2].closed.wait(PATIENCE)
    assert (work.ends["a"].outcome, work.ends["c"].outcome) == (Outcome.PREEMPTED, Outcome.FOUND)
    desk.close(Outcome.SHUTDOWN, "")


def test_a_refused_goal_leaves_the_running_one_alone(desk: Desk, work: Work) -> None:
    desk.submit(run_of("action", "action"))
    assert work.begun.acquire(timeout=PATIENCE)
    desk.submit(run_of("topic"))
    assert (work.ends["topic"].outcome, work.ends["topic"].error_code) == (Outcome.FAILED, ErrorCode.REJECTED_BUSY)
    assert desk.running is not None
    assert desk.running.request.id == "action"
    assert desk.running.ending is None


def test_goals_are_refused_while_the_desk_is_closed_and_taken_again_after(desk: Desk, work: Work) -> None:
    desk.submit(run_of("a"))
    assert work.begun.acquire(timeout=PATIENCE)
    desk.close(Outcome.SHUTDOWN, "closing time")
    assert (work.ends["a"].outcome, work.ends["a"].error_msg) == (Outcome.SHUTDOWN, "closing time")
    desk.submit(run_of("b"))
    assert work.ends["b"].error_code is ErrorCode.NOT_ACTIVE
    desk.open()
    desk.submit(run_of("c"))
    assert work.begun.acquire(timeout=PATIENCE)


def test_many_goals_from_many_threads_end_exactly_once(desk: Desk, work: Work) -> None:
    def send(sender: int) -> None:
        for number in range(200):
            desk.submit(run_of(f"{sender}-{number}", "action" if sender % 2 else "topic"))

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    desk.close(Outcome.SHUTDOWN, "")
    assert len(work.ends) == 800
    desk.open()


def test_a_run_ends_once_and_the_first_reason_counts() -> None:
    run = run_of("a")
    run.stop(Outcome.CANCELED)
    run.stop(Outcome.SHUTDOWN)
    assert run.ending is not None
    assert run.ending.outcome is Outcome.CANCELED
    run.close(ResultMessage())
    with pytest.raises(RuntimeError, match="'a' was about to end twice"):
        run.close(ResultMessage())


def test_an_id_is_made_where_none_is_given() -> None:
    first, second = Request.of(Goal(), "topic"), Request.of(Goal(), "topic")
    assert first.id
    assert first.id != second.id
