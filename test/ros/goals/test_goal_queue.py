"""Which goal runs, and that each ends exactly once. Without DDS: the desk is plain threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from rsagent_ros.msg import Goal
from rsagent_ros.msg import Result as ResultMessage

from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.ros.goals.active_goal import ActiveGoal, GoalRequest, Source
from rsagent_ros.ros.goals.goal_queue import GoalQueue, precedence
from rsagent_ros.ros.parameters import NodeParameters

PATIENCE = 20.0


class Work:
    """Runs goals until they are stopped or released, and keeps how each ended."""

    def __init__(self) -> None:
        self.ends: dict[str, Result] = {}
        self.order: list[str] = []
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def run(self, run: ActiveGoal) -> None:
        self.order.append(run.request.id)
        self.begun.release()
        while run.ending is None and not self.released.is_set():
            run.wait(run.deadline)
        self.end(run, run.ending or Result(Outcome.FOUND))

    def end(self, run: ActiveGoal, result: Result) -> None:
        assert run.request.id not in self.ends, "it ended twice"
        self.ends[run.request.id] = result
        run.close(ResultMessage())


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def desk(work: Work) -> Iterator[GoalQueue]:
    desk = GoalQueue(work.run, work.end)
    desk.open()
    yield desk
    desk.close(Outcome.SHUTDOWN, "the test is over")


def run_of(
    name: str, source: Source = "topic", *, priority: int = 0, seconds: float = 0.0, **parameters: Any
) -> ActiveGoal:
    goal = Goal(id=name, instruction="a thing", priority=priority, time_budget=seconds)
    return ActiveGoal(GoalRequest.of(goal, source), NodeParameters(**parameters))


def test_the_newest_goal_wins_but_a_topic_does_not_interrupt_an_action() -> None:
    sources: tuple[Source, ...] = ("action", "topic")
    decided = {
        (new, other, may): precedence(new, other, "preempt", topic_preempts_action=may)
        for new, other, may in product(sources, (None, *sources), (False, True))
    }
    assert {place for (_, other, _), place in decided.items() if other is None} == {"run"}
    refused = [case for case, place in decided.items() if place == "refuse"]
    assert refused == [("topic", "action", False)]


@pytest.mark.parametrize("policy", ["preempt", "queue", "reject"])
def test_the_nodes_own_goals_never_come_before_anybody_elses(policy: str) -> None:
    for other in ("action", "topic"):
        assert precedence("track", other, policy, topic_preempts_action=True) == "refuse"
        assert precedence(other, "track", policy, topic_preempts_action=False) == "preempt"
    assert precedence("track", None, policy, topic_preempts_action=False) == "run"


def test_a_goal_runs_to_its_end(desk: GoalQueue, work: Work) -> None:
    work.released.set()
    run = run_of("a")
    desk.submit(run)
    assert run.closed.wait(PATIENCE)
    assert work.ends["a"].outcome is Outcome.FOUND


def test_who_waits_is_answered_at_once_when_a_newer_goal_comes() -> None:
    work, gate = Work(), threading.Event()

    def stubborn(run: ActiveGoal) -> None:
        work.begun.release()
        assert gate.wait(PATIENCE)
        work.end(run, run.ending or Result(Outcome.FOUND))

    desk = GoalQueue(stubborn, work.end)
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


def test_a_refused_goal_leaves_the_running_one_alone(desk: GoalQueue, work: Work) -> None:
    desk.submit(run_of("action", "action"))
    assert work.begun.acquire(timeout=PATIENCE)
    desk.submit(run_of("topic"))
    assert (work.ends["topic"].outcome, work.ends["topic"].error_code) == (Outcome.FAILED, ErrorCode.REJECTED_BUSY)
    assert desk.running is not None
    assert desk.running.request.id == "action"
    assert desk.running.ending is None


def test_goals_are_refused_while_the_desk_is_closed_and_taken_again_after(desk: GoalQueue, work: Work) -> None:
    desk.submit(run_of("a"))
    assert work.begun.acquire(timeout=PATIENCE)
    desk.close(Outcome.SHUTDOWN, "closing time")
    assert (work.ends["a"].outcome, work.ends["a"].error_msg) == (Outcome.SHUTDOWN, "closing time")
    desk.submit(run_of("b"))
    assert work.ends["b"].error_code is ErrorCode.NOT_ACTIVE
    desk.open()
    desk.submit(run_of("c"))
    assert work.begun.acquire(timeout=PATIENCE)


def test_many_goals_from_many_threads_end_exactly_once(desk: GoalQueue, work: Work) -> None:
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


def test_goals_wait_for_their_turn_by_priority_and_then_by_when_they_came(desk: GoalQueue, work: Work) -> None:
    desk.submit(run_of("first", queue_policy="queue"))
    assert work.begun.acquire(timeout=PATIENCE)
    runs = [
        run_of(f"{name}-{priority}", priority=priority, queue_policy="queue") for name in "ab" for priority in (0, 9)
    ]
    for run in runs:
        desk.submit(run)
    assert (desk.waiting, work.ends) == (4, {})
    work.released.set()
    desk.running.poke()  # type: ignore[union-attr]
    assert all(run.closed.wait(PATIENCE) for run in runs)
    assert work.order == ["first", "a-9", "b-9", "a-0", "b-0"]
    assert {result.outcome for result in work.ends.values()} == {Outcome.FOUND}


def test_a_full_queue_takes_no_more(desk: GoalQueue, work: Work) -> None:
    for name in "abc":
        desk.submit(run_of(name, queue_policy="queue", queue_length=1))
        if name == "a":
            assert work.begun.acquire(timeout=PATIENCE)
    assert work.ends["c"].error_code is ErrorCode.REJECTED_BUSY
    assert "1 goals wait already" in work.ends["c"].error_msg
    assert list(work.ends) == ["c"]


def test_who_waits_can_be_stopped_and_is_answered_at_once(desk: GoalQueue, work: Work) -> None:
    running, waiting = run_of("a", queue_policy="queue"), run_of("b", queue_policy="queue")
    desk.submit(running)
    assert work.begun.acquire(timeout=PATIENCE)
    desk.submit(waiting)
    desk.stop(waiting, Outcome.CANCELED)
    assert waiting.closed.is_set()
    assert {name: result.outcome for name, result in work.ends.items()} == {"b": Outcome.CANCELED}
    desk.stop(running, Outcome.CANCELED)
    assert running.closed.wait(PATIENCE)


def test_time_that_is_spent_waiting_ends_a_goal(desk: GoalQueue, work: Work) -> None:
    desk.submit(run_of("a", queue_policy="queue"))
    assert work.begun.acquire(timeout=PATIENCE)
    waiting = run_of("b", seconds=0.2, queue_policy="queue")
    desk.submit(waiting)
    assert waiting.closed.wait(PATIENCE)
    assert (work.ends["b"].outcome, work.ends["b"].error_code) == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert "0.2 s was spent waiting" in work.ends["b"].error_msg
    assert work.order == ["a"]


def test_a_goal_is_refused_while_another_runs(desk: GoalQueue, work: Work) -> None:
    desk.submit(run_of("a", queue_policy="reject"))
    assert work.begun.acquire(timeout=PATIENCE)
    desk.submit(run_of("b", "action", queue_policy="reject"))
    assert work.ends["b"].error_code is ErrorCode.REJECTED_BUSY
    assert "queue_policy is reject" in work.ends["b"].error_msg
    work.released.set()
    desk.running.poke()  # type: ignore[union-attr]


def test_an_id_that_waits_is_taken(desk: GoalQueue, work: Work) -> None:
    desk.submit(run_of("a", queue_policy="queue"))
    assert work.begun.acquire(timeout=PATIENCE)
    desk.submit(run_of("b", queue_policy="queue"))
    again = run_of("b", queue_policy="queue")
    desk.submit(again)
    assert again.closed.is_set()
    assert work.ends["b"].error_code is ErrorCode.INVALID_GOAL
    work.ends.clear()  # the other "b" ends, too


def test_a_goal_that_is_answered_is_in_nobodys_way() -> None:
    """Its desk may still have something to tidy when the next goal of who has read the answer comes."""
    tidy, ends = threading.Event(), []

    def work(run: ActiveGoal) -> None:
        run.close(ResultMessage())
        if run.request.id == "first":
            assert tidy.wait(PATIENCE)

    desk = GoalQueue(work, lambda run, result: ends.append((run.request.id, result.error_code)))
    desk.open()
    first, second = run_of("first", "action"), run_of("second", "topic")
    desk.submit(first)
    assert first.closed.wait(PATIENCE)
    desk.submit(second)
    tidy.set()
    assert second.closed.wait(PATIENCE)
    assert ends == []
    desk.close(Outcome.SHUTDOWN, "the test is over")


def test_it_closes_only_while_nobody_waits_for_an_end(desk: GoalQueue, work: Work) -> None:
    first, second, late = run_of("first"), run_of("second"), run_of("late")
    desk.submit(first)
    assert work.begun.acquire(timeout=PATIENCE)
    assert not desk.close_if_idle()
    desk.submit(second)  # it is open as before
    assert work.begun.acquire(timeout=PATIENCE)
    work.released.set()
    second.poke()
    assert second.closed.wait(PATIENCE)
    assert desk.close_if_idle()
    desk.submit(late)
    assert late.closed.is_set()
    assert work.ends["late"].error_code is ErrorCode.NOT_ACTIVE


def test_a_defect_ends_its_goal_and_not_the_next_one(work: Work) -> None:
    def raises(run: ActiveGoal) -> None:
        if run.request.id == "bad":
            raise KeyError("a defect")
        work.run(run)

    work.released.set()
    desk = GoalQueue(raises, work.end)
    desk.open()
    for name in ("bad", "good"):
        run = run_of(name, queue_policy="queue")
        desk.submit(run)
        assert run.closed.wait(PATIENCE)
    assert (work.ends["bad"].outcome, work.ends["bad"].error_code) == (Outcome.FAILED, ErrorCode.INTERNAL)
    assert work.ends["good"].outcome is Outcome.FOUND
    desk.close(Outcome.SHUTDOWN, "the test is over")
