"""Which goal runs, and what becomes of one that comes meanwhile: it pre-empts, it waits, or it is refused."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.ros.goals.active_goal import ActiveGoal, Source, defect

log = logging.getLogger(__name__)

QueuePolicy = Literal["preempt", "queue", "reject"]
Place = Literal["run", "preempt", "wait", "refuse"]


def precedence(new: Source, other: Source | None, policy: str, *, topic_preempts_action: bool) -> Place:
    """What becomes of a new goal where another one runs or waits.

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
    """Takes goals from any thread and works on them one after the other in a thread of its own.

    Who is refused, loses its place, or waits until its time is over is answered at once, whatever the running goal
    does: in the thread of the caller, or in one that watches the time.
    """

    def __init__(self, work: Callable[[ActiveGoal], None], end: Callable[[ActiveGoal, Result], None]) -> None:
        """Begin closed.

        Args:
            work: Runs a goal to its end and closes it; called in the desk's thread, heeds `run.ending`.
            end: Closes a goal that never ran.
        """
        self._work = work
        self._end = end
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
            for serve, name in ((self._serve, "goals"), (self._watch, "waiting goals"))
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
        for run in waiting:
            self._end(run, Result(outcome, error_msg=message))
        while self._threads:
            self._threads.pop().join()

    def close_if_idle(self) -> bool:
        """Take no more goals, unless there are some whose end nobody has been told yet; returns whether it did.

        `close` is still to follow.
        """
        with self._change:
            idle = not self._waiting and (self._running is None or self._running.answer is not None)
            self._open = self._open and not idle
            self._change.notify_all()
            return idle

    @property
    def running(self) -> ActiveGoal | None:
        """The goal that is worked on."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many goals wait for it to end."""
        return len(self._waiting)

    def submit(self, run: ActiveGoal) -> None:
        """Hand over a goal; returns at once. The goal will be closed, whatever happens."""
        superseded: list[ActiveGoal] = []
        refusal: Result | None = None
        try:
            run.request.check()
            with self._change:
                superseded = self._admit(run)
                self._change.notify_all()
        except RunFailed as failure:
            refusal = Result(Outcome.FAILED, failure.code, failure.message)
        if refusal is not None:
            self._end(run, refusal)
        for loser in superseded:
            self._end(loser, _preempted(run))

    def stop(self, run: ActiveGoal, outcome: Outcome, message: str = "") -> None:
        """Make a goal end: soon where it runs, at once where it waits. Idempotent."""
        with self._change:
            waits = run in self._waiting
            if waits:
                self._waiting.remove(run)
        if waits:
            self._end(run, Result(outcome, error_msg=message))
        else:
            run.stop(outcome, message)

    def _admit(self, run: ActiveGoal) -> list[ActiveGoal]:
        """Give the goal its place; the lock is held. Returns waiting goals that lost theirs.

        Raises:
            RunFailed: There is no place for it.
        """
        if not self._open:
            raise RunFailed(ErrorCode.NOT_ACTIVE, "the node is not active: configure and activate it first")
        known = [*([] if self._running is None else [self._running]), *self._waiting]
        there = [other for other in known if other.answer is None]  # who asks knows already that the others are over
        if any(other.request.id == run.request.id for other in there if other.ending is None):
            raise RunFailed(
                ErrorCode.INVALID_GOAL, f"a goal with the id {run.request.id!r} is running: choose another id"
            )
        last = there[-1] if there and there[-1].ending is None else None
        parameters = run.parameters
        match precedence(
            run.request.source,
            None if last is None else last.request.source,
            parameters.queue_policy,
            topic_preempts_action=parameters.topic_preempts_action,
        ):
            case "refuse":
                raise RunFailed(ErrorCode.REJECTED_BUSY, _why_refused(parameters.queue_policy))
            case "preempt":
                superseded, self._waiting = self._waiting, []
                if self._running is not None:
                    ending = _preempted(run)
                    self._running.stop(ending.outcome, ending.error_msg)
            case _:
                superseded = []
                if len(self._waiting) >= parameters.queue_length:
                    raise RunFailed(
                        ErrorCode.REJECTED_BUSY,
                        f"{len(self._waiting)} goals wait already: cancel some, or set queue_length",
                    )
        self._waiting.append(run)
        self._waiting.sort(key=lambda other: -other.request.priority)  # stable: who came first goes first
        return superseded

    def _serve(self) -> None:
        while True:
            with self._change:
                self._running = None
                self._change.notify_all()
                self._change.wait_for(lambda: self._waiting or not self._open)
                if not self._open:
                    return
                run = self._running = self._waiting.pop(0)
            try:
                run.begin()
                self._work(run)
            except Exception as error:  # this thread has to go on: without it no goal would ever end again
                log.exception("goal %r failed because of a defect", run.request.id)
                if run.answer is None:
                    self._end(run, defect(error))

    def _watch(self) -> None:
        """End goals whose time is over before it was their turn."""
        while True:
            with self._change:
                now = time.monotonic()
                late = [run for run in self._waiting if run.deadline <= now]
                self._waiting = [run for run in self._waiting if run.deadline > now]
                if not late:
                    if not self._open:
                        return
                    nearest = min((run.deadline for run in self._waiting), default=None)
                    self._change.wait(None if nearest is None else nearest - now)
            for run in late:
                spent = f"the time budget of {run.deadline - run.started:g} s was spent waiting for other goals"
                self._end(run, Result(Outcome.GAVE_UP, ErrorCode.TIME_SPENT, spent))


def _preempted(by: ActiveGoal) -> Result:
    return Result(Outcome.PREEMPTED, error_msg=f"the newer goal {by.request.id!r} took its place")


def _why_refused(policy: str) -> str:
    if policy == "reject":
        return "another goal is running and queue_policy is reject: wait until it has ended, or cancel it"
    return "a goal by action is running: cancel it first, send an action goal too, or set topic_preempts_action"
