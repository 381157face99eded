"""`GoalQueue`: the running goal, and what becomes of one that comes meanwhile: preempt, queue or reject."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.goals.active_goal import ActiveGoal, defect
from rsagent_ros.ros.goals.goal_request import GoalRequest, Source
from rsagent_ros.ros.goals.goal_runner import GoalRunner
from rsagent_ros.ros.parameters import NodeParameters

log = logging.getLogger(__name__)

RUNNER, DEADLINES = "runner", "deadlines"
"""Names of the threads."""

Place = Literal["run", "preempt", "wait", "refuse"]


def precedence(new: Source, other: Source | None, policy: str, *, topic_preempts_action: bool) -> Place:
    """Decide on a new goal where another one runs or waits.

    Args:
        new: How it came.
        other: How the other one came; None where there is none.
        policy: `preempt`: the newest wins, but a topic does not interrupt an action unless it may. `queue`: it waits.
            `reject`: it is refused. A goal of the node's own (`track`) never comes before anybody else's.
        topic_preempts_action: Whether it may.
    """
    if other is None:
        return "run"
    if "track" in (new, other):
        return "refuse" if new == "track" else "preempt"
    if policy == "queue":
        return "wait"
    if policy == "reject" or (new == "topic" and other == "action" and not topic_preempts_action):
        return "refuse"
    return "preempt"


class GoalQueue:
    """Takes goals from any thread and has them run one after the other, in the thread `runner`.

    A goal that is refused, loses its place, or waits until its time is over is answered at once, whatever the running
    goal does: in the caller's thread, or in the thread `deadlines`.
    """

    def __init__(self, runner: GoalRunner, parameters: Callable[[], NodeParameters]) -> None:
        """Begin closed: goals are refused.

        Args:
            runner: Runs and ends goals.
            parameters: Gives the node's parameters as they are now; a goal keeps those of its admission.
        """
        self._runner = runner
        self._parameters = parameters
        self._change = threading.Condition()
        self._running: ActiveGoal | None = None
        self._waiting: list[ActiveGoal] = []
        self._open = False
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Take goals from now on."""
        self._open = True
        self._threads = [
            threading.Thread(target=serve, name=name, daemon=True)
            for serve, name in ((self._serve, RUNNER), (self._watch_deadlines, DEADLINES))
        ]
        for thread in self._threads:
            thread.start()

    def close(self, outcome: Outcome, message: str) -> None:
        """Take no more goals, end those that are there, and wait until they have ended: milliseconds."""
        with self._change:
            self._open = False
            waiting, self._waiting = self._waiting, []
            if self._running is not None:
                self._running.stop(outcome, message)
            self._change.notify_all()
        for goal in waiting:
            self._runner.end(goal, Result(outcome, error_msg=message))
        while self._threads:
            self._threads.pop().join()

    def close_if_idle(self) -> bool:
        """Take no more goals, unless there are some that are not answered yet; returns whether it did.

        `close` is still to follow.
        """
        with self._change:
            idle = not self._waiting and (self._running is None or self._running.answer is not None)
            self._open = self._open and not idle
            self._change.notify_all()
            return idle

    @property
    def running(self) -> ActiveGoal | None:
        """The goal that runs."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of goals that wait for it to end."""
        return len(self._waiting)

    def submit(
        self,
        request: GoalRequest,
        feedback: Callable[[TurnMessage], None] | None = None,
        on_begin: Callable[[], None] | None = None,
    ) -> ActiveGoal:
        """Hand over a goal. Does not block; the goal will be closed, whatever happens.

        Args:
            request: The goal.
            feedback: Called with each turn, and with what happens before the first; in any thread.
            on_begin: Called once when the goal begins to run, or has ended without that; in any thread.
        """
        goal = ActiveGoal(request, self._parameters(), feedback, on_begin)
        superseded: list[ActiveGoal] = []
        refusal: Result | None = None
        self._runner.begin(goal)
        try:
            with self._change:
                self._runner.admit(request, self._unanswered)
                superseded = self._place(goal)
                self._change.notify_all()
        except RunFailed as failure:
            refusal = Result(Outcome.FAILED, failure.code, failure.message)
        except Exception as error:  # a goal has to end, whatever is wrong with this package
            log.exception("goal %r was not admitted because of a defect", request.id)
            refusal = defect(error)
        if refusal is not None:
            self._runner.end(goal, refusal)
        for loser in superseded:
            self._runner.end(loser, _preempted(goal))
        return goal

    def submit_when_idle(self, request: GoalRequest) -> ActiveGoal | None:
        """Hand over a goal of the node's own; None, and nothing is done, while there are others. Does not block."""
        return self.submit(request) if self._running is None and not self._waiting else None

    def cancel(self, goal: ActiveGoal) -> None:
        """End a goal as CANCELED: soon where it runs, at once where it waits. Does not block; idempotent."""
        with self._change:
            waits = goal in self._waiting
            if waits:
                self._waiting.remove(goal)
        if waits:
            self._runner.end(goal, Result(Outcome.CANCELED))
        else:
            goal.stop(Outcome.CANCELED)

    @property
    def _unanswered(self) -> list[ActiveGoal]:
        """Goals whose end nobody knows yet, in the order in which they run; the lock is held."""
        running = [] if self._running is None else [self._running]
        return [goal for goal in (*running, *self._waiting) if goal.answer is None]

    def _place(self, goal: ActiveGoal) -> list[ActiveGoal]:
        """Give an admitted goal its place; the lock is held. Returns waiting goals that lost theirs.

        Raises:
            RunFailed: There is no place for it.
        """
        if not self._open:
            raise RunFailed(ErrorCode.NOT_ACTIVE, "the node is not active: configure and activate it first")
        others = self._unanswered
        if any(other.request.id == goal.request.id for other in others if other.ending is None):
            raise RunFailed(
                ErrorCode.INVALID_GOAL, f"a goal with the id {goal.request.id!r} is running: choose another id"
            )
        last = others[-1] if others and others[-1].ending is None else None
        parameters = goal.parameters
        superseded: list[ActiveGoal] = []
        match precedence(
            goal.request.source,
            None if last is None else last.request.source,
            parameters.queue_policy,
            topic_preempts_action=parameters.topic_preempts_action,
        ):
            case "refuse":
                raise RunFailed(ErrorCode.REJECTED_BUSY, _why_refused(parameters.queue_policy))
            case "preempt":
                superseded, self._waiting = self._waiting, []
                if self._running is not None:
                    ending = _preempted(goal)
                    self._running.stop(ending.outcome, ending.error_msg)
            case _ if len(self._waiting) >= parameters.queue_length:
                raise RunFailed(
                    ErrorCode.REJECTED_BUSY,
                    f"{len(self._waiting)} goals wait already: cancel some, or set queue_length",
                )
        if others:
            self._runner.queued(goal)
        self._waiting.append(goal)
        self._waiting.sort(key=lambda other: -other.request.priority)  # stable: first come, first served
        return superseded

    def _serve(self) -> None:
        while True:
            with self._change:
                self._running = None
                self._change.notify_all()
                self._change.wait_for(lambda: self._waiting or not self._open)
                if not self._open:
                    return
                goal = self._running = self._waiting.pop(0)
            try:
                goal.begin()
                self._runner.run(goal)
            except Exception as error:  # this thread has to go on: without it no goal would ever end again
                log.exception("goal %r failed because of a defect", goal.request.id)
                if goal.answer is None:
                    self._runner.end(goal, defect(error))

    def _watch_deadlines(self) -> None:
        """End goals whose time is over before it was their turn."""
        while True:
            with self._change:
                now = time.monotonic()
                late = [goal for goal in self._waiting if goal.deadline <= now]
                self._waiting = [goal for goal in self._waiting if goal.deadline > now]
                if not late:
                    if not self._open:
                        return
                    nearest = min((goal.deadline for goal in self._waiting), default=None)
                    self._change.wait(None if nearest is None else nearest - now)
            for goal in late:
                spent = f"the time budget of {goal.deadline - goal.started:g} s was spent waiting for other goals"
                self._runner.end(goal, Result(Outcome.GAVE_UP, ErrorCode.TIME_SPENT, spent))


def _preempted(by: ActiveGoal) -> Result:
    return Result(Outcome.PREEMPTED, error_msg=f"goal {by.request.id!r} replaced it")


def _why_refused(policy: str) -> str:
    if policy == "reject":
        return "another goal is running and queue_policy is reject: wait until it has ended, or cancel it"
    return "a goal by action is running: cancel it first, send an action goal too, or set topic_preempts_action"
