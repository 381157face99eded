"""Which goal runs, and that each ends exactly once. Without DDS: the queue is plain threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, cast

import pytest
from rsagent_ros.msg import Goal
from rsagent_ros.msg import Result as ResultMessage

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.goal_queue import GoalQueue, precedence
from rsagent_ros.ros.goals.goal_request import GoalRequest, Source
from rsagent_ros.ros.goals.goal_runner import GoalRunner
from rsagent_ros.ros.parameters import NodeParameters

PATIENCE = 20.0


class Runner:
    """Runs goals until they are stopped or released, and keeps how each ended."""

    def __init__(self) -> None:
        self.ends: dict[str, Result] = {}
        self.order: list[str] = []
        self.log: list[str] = []
        self.active: list[str] = []
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()

    def begin(self, goal: ActiveGoal) -> None:
        self.log.append(f"begin {goal.request.id}")

    def admit(self, request: GoalRequest, active: Sequence[ActiveGoal]) -> None:
        self.active = [goal.request.id for goal in active]
        if request.instruction == "nonsense":
            raise RunFailed(ErrorCode.FOLLOW_UP_UNKNOWN, "no such goal")
        if request.instruction == "a defect":
            raise KeyError("a defect")

    def queued(self, goal: ActiveGoal) -> None:
        self.log.append(f"queued {goal.request.id}")

    def run(self, goal: ActiveGoal) -> None:
        self.order.append(goal.request.id)
        self.begun.release()
        while goal.ending is None and not self.released.is_set():
            goal.wakeup.wait(goal.deadline)
        self.end(goal, goal.ending or Result(Outcome.FOUND))

    def end(self, goal: ActiveGoal, result: Result) -> None:
        assert goal.request.id not in self.ends, "it ended twice"
        self.ends[goal.request.id] = result
        goal.close(ResultMessage())


class Queue:
    """A queue, its runner, and the node's parameters.

    Attributes:
        parameters: Of the goals from now on.
    """

    def __init__(self, runner: Runner | None = None) -> None:
        self.runner = Runner() if runner is None else runner
        self.parameters = NodeParameters()
        self.queue = GoalQueue(cast(GoalRunner, self.runner), lambda: self.parameters)
        self.queue.open()

    def set(self, **parameters: Any) -> None:
        self.parameters = NodeParameters(**parameters)

    def submit(
        self, name: str, source: Source = "topic", *, priority: int = 0, seconds: float = 0.0, words: str = "a thing"
    ) -> ActiveGoal:
        message = Goal(id=name, instruction=words, priority=priority, time_budget=seconds)
        return self.queue.submit(GoalRequest.of(message, source))

    def run(self, name: str, source: Source = "topic") -> ActiveGoal:
        """Submit a goal and wait until it runs."""
        goal = self.submit(name, source)
        assert self.runner.begun.acquire(timeout=PATIENCE)
        return goal

    def release(self) -> None:
        """Let goals end by themselves."""
        self.runner.released.set()
        if self.queue.running is not None:
            self.queue.running.wakeup.poke()

    def end_of(self, name: str) -> tuple[Outcome, ErrorCode]:
        result = self.runner.ends[name]
        return result.outcome, result.error_code


@pytest.fixture
def node() -> Iterator[Queue]:
    node = Queue()
    yield node
    node.queue.close(Outcome.SHUTDOWN, "the test is over")


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


def test_a_goal_runs_to_its_end(node: Queue) -> None:
    node.runner.released.set()
    goal = node.submit("a")
    assert goal.closed.wait(PATIENCE)
    assert node.end_of("a") == (Outcome.FOUND, ErrorCode.NONE)
    assert node.runner.log == ["begin a"]


@pytest.mark.parametrize(
    ("words", "code"), [("nonsense", ErrorCode.FOLLOW_UP_UNKNOWN), ("a defect", ErrorCode.INTERNAL)]
)
def test_a_goal_that_is_not_admitted_takes_nobodys_place(node: Queue, words: str, code: ErrorCode) -> None:
    running = node.run("a")
    refused = node.submit("b", words=words)
    assert refused.closed.is_set()
    assert node.end_of("b") == (Outcome.FAILED, code)
    assert node.runner.active == ["a"]
    assert running.ending is None
    assert "queued b" not in node.runner.log


def test_who_waits_is_answered_at_once_when_a_newer_goal_comes() -> None:
    gate = threading.Event()

    class Stubborn(Runner):
        def run(self, goal: ActiveGoal) -> None:
            self.begun.release()
            assert gate.wait(PATIENCE)
            self.end(goal, goal.ending or Result(Outcome.FOUND))

    node = Queue(Stubborn())
    node.run("a")
    second, third = node.submit("b"), node.submit("c")
    assert second.closed.is_set()  # while "a" is still at work
    assert node.end_of("b")[0] is Outcome.PREEMPTED
    assert "'c'" in node.runner.ends["b"].error_msg
    gate.set()
    assert third.closed.wait(PATIENCE)
    assert (node.end_of("a")[0], node.end_of("c")[0]) == (Outcome.PREEMPTED, Outcome.FOUND)
    node.queue.close(Outcome.SHUTDOWN, "")


def test_a_refused_goal_leaves_the_running_one_alone(node: Queue) -> None:
    running = node.run("action", "action")
    node.submit("topic")
    assert node.end_of("topic") == (Outcome.FAILED, ErrorCode.REJECTED_BUSY)
    assert node.queue.running is running
    assert running.ending is None


def test_goals_are_refused_while_the_queue_is_closed_and_taken_again_after(node: Queue) -> None:
    node.run("a")
    node.queue.close(Outcome.SHUTDOWN, "closing time")
    result = node.runner.ends["a"]
    assert (result.outcome, result.error_msg) == (Outcome.SHUTDOWN, "closing time")
    node.submit("b")
    assert node.end_of("b")[1] is ErrorCode.NOT_ACTIVE
    node.queue.open()
    node.run("c")


def test_many_goals_from_many_threads_end_exactly_once(node: Queue) -> None:
    def send(sender: int) -> None:
        for number in range(200):
            node.submit(f"{sender}-{number}", "action" if sender % 2 else "topic")

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    node.queue.close(Outcome.SHUTDOWN, "")
    assert len(node.runner.ends) == 800
    node.queue.open()


def test_goals_wait_for_their_turn_by_priority_and_then_by_when_they_came(node: Queue) -> None:
    node.set(queue_policy="queue")
    node.run("first")
    assert "queued first" not in node.runner.log
    goals = [node.submit(f"{name}-{priority}", priority=priority) for name in "ab" for priority in (0, 9)]
    assert (node.queue.waiting, node.runner.ends) == (4, {})
    assert {f"queued {goal.request.id}" for goal in goals} <= set(node.runner.log)
    node.release()
    assert all(goal.closed.wait(PATIENCE) for goal in goals)
    assert node.runner.order == ["first", "a-9", "b-9", "a-0", "b-0"]
    assert {result.outcome for result in node.runner.ends.values()} == {Outcome.FOUND}


def test_a_full_queue_takes_no_more(node: Queue) -> None:
    node.set(queue_policy="queue", queue_length=1)
    node.run("a")
    for name in "bc":
        node.submit(name)
    assert node.end_of("c")[1] is ErrorCode.REJECTED_BUSY
    assert "1 goals wait already" in node.runner.ends["c"].error_msg
    assert list(node.runner.ends) == ["c"]


def test_a_goal_that_waits_can_be_cancelled_and_is_answered_at_once(node: Queue) -> None:
    node.set(queue_policy="queue")
    running, waiting = node.run("a"), node.submit("b")
    node.queue.cancel(waiting)
    assert waiting.closed.is_set()
    assert {name: result.outcome for name, result in node.runner.ends.items()} == {"b": Outcome.CANCELED}
    node.queue.cancel(running)
    assert running.closed.wait(PATIENCE)
    assert node.end_of("a")[0] is Outcome.CANCELED


def test_time_that_is_spent_waiting_ends_a_goal(node: Queue) -> None:
    node.set(queue_policy="queue")
    node.run("a")
    waiting = node.submit("b", seconds=0.2)
    assert waiting.closed.wait(PATIENCE)
    assert node.end_of("b") == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert "0.2 s was spent waiting" in node.runner.ends["b"].error_msg
    assert node.runner.order == ["a"]


def test_a_goal_is_refused_while_another_runs(node: Queue) -> None:
    node.set(queue_policy="reject")
    node.run("a")
    node.submit("b", "action")
    assert node.end_of("b")[1] is ErrorCode.REJECTED_BUSY
    assert "queue_policy is reject" in node.runner.ends["b"].error_msg


def test_an_id_that_waits_is_taken(node: Queue) -> None:
    node.set(queue_policy="queue")
    node.run("a")
    node.submit("b")
    again = node.submit("b")
    assert again.closed.is_set()
    assert node.end_of("b")[1] is ErrorCode.INVALID_GOAL
    node.runner.ends.clear()  # the other "b" ends, too


def test_a_goal_of_the_nodes_own_is_submitted_only_when_there_is_no_other(node: Queue) -> None:
    own = GoalRequest.of(Goal(id="own", instruction="a thing"), "track")
    running = node.run("a")
    assert node.queue.submit_when_idle(own) is None
    assert "begin own" not in node.runner.log
    node.release()
    assert running.closed.wait(PATIENCE)
    goal = None
    while goal is None:
        goal = node.queue.submit_when_idle(own)
    assert goal.closed.wait(PATIENCE)


def test_a_goal_that_is_answered_is_in_nobodys_way() -> None:
    """Its queue may still have something to tidy when the next goal of the client that has read the answer comes."""
    tidy = threading.Event()

    class Tidy(Runner):
        def run(self, goal: ActiveGoal) -> None:
            goal.close(ResultMessage())
            if goal.request.id == "first":
                assert tidy.wait(PATIENCE)

    node = Queue(Tidy())
    first = node.submit("first", "action")
    assert first.closed.wait(PATIENCE)
    second = node.submit("second", "topic")
    tidy.set()
    assert second.closed.wait(PATIENCE)
    assert node.runner.ends == {}
    node.queue.close(Outcome.SHUTDOWN, "the test is over")


def test_it_closes_only_while_nobody_waits_for_an_end(node: Queue) -> None:
    node.run("first")
    assert not node.queue.close_if_idle()
    second = node.run("second")  # it is open as before
    node.release()
    assert second.closed.wait(PATIENCE)
    assert node.queue.close_if_idle()
    late = node.submit("late")
    assert late.closed.is_set()
    assert node.end_of("late")[1] is ErrorCode.NOT_ACTIVE


def test_a_defect_ends_its_goal_and_not_the_next_one() -> None:
    class Raising(Runner):
        def run(self, goal: ActiveGoal) -> None:
            if goal.request.id == "bad":
                raise KeyError("a defect")
            super().run(goal)

    node = Queue(Raising())
    node.runner.released.set()
    node.set(queue_policy="queue")
    goals = [node.submit(name) for name in ("bad", "good")]
    assert all(goal.closed.wait(PATIENCE) for goal in goals)
    assert node.end_of("bad") == (Outcome.FAILED, ErrorCode.INTERNAL)
    assert node.end_of("good")[0] is Outcome.FOUND
    node.queue.close(Outcome.SHUTDOWN, "the test is over")
