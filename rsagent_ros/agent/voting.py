"""Voting: after the first answer, more episodes of the same goal at the same time, until the lead can't change.

    voting = Voting(first, begin, budget, until, threads=threads)
    voting.start()
    while not voting.decided and time.monotonic() < until: ...
    result, trace = voting.close()

`vote` does that for a caller that has nothing else to watch. What the answers are worth is in `votes`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.daemon_threads import DaemonThread, DaemonThreads
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.policy import Policy
from rsagent_ros.agent.votes import Ended, counted, elected, has_vote

log = logging.getLogger(__name__)

MARGIN = 0.05
"""Seconds before the deadline at which the vote ends: to count it, so that the first answer is not late by it."""

POLL = 0.02
"""Seconds between looks at a cancel token."""

MOST_THREADS = 32
"""Attempts of one process that may run or hang at a time; beyond it, goals go without more of them."""

Begin = Callable[[int, float], tuple[Episode, Policy]]
"""An attempt and its policy: given its number, 1 for the first, and the seconds it has."""


class Voting:
    """Attempts at a goal beside the first, each driven by a thread of its own. Thread-safe."""

    def __init__(
        self,
        first: Ended,
        begin: Begin,
        budget: Budget,
        until: float,
        *,
        threads: DaemonThreads,
        one_by_one: bool = False,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        """Begin nothing yet.

        Args:
            first: The first attempt.
            begin: Begins another; its segmenter must be one for several threads.
            budget: Its votes, and how long the first answer may wait for them.
            until: `time.monotonic()` at the goal's deadline.
            threads: To drive attempts in. One that hangs keeps its thread.
            one_by_one: One attempt after the other: the policy computes in this process.
            on_change: Called from any thread whenever `decided` may have changed.
        """
        self._first = first
        self._begin = begin
        self._votes = budget.votes if has_vote(first[0]) else 1
        self._at_once = 1 if one_by_one else self._votes
        self._started = time.monotonic()
        self.until = min(until - MARGIN, self._started + budget.votes_seconds)
        self._threads = threads
        self._on_change = on_change
        self._others: list[Episode] = []
        self._running = 0
        self._closed = False
        self._cancel = CancelToken()
        self._lock = threading.Lock()

    @property
    def decided(self) -> bool:
        """Whether nothing is waited for: the lead can't change, all have voted, or no time is left for more."""
        with self._lock:
            return self._decided()

    def start(self) -> None:
        """Begin as many attempts as may run at the same time; blocks for milliseconds."""
        with self._lock:
            self._fill()

    def close(self, ending: Result | None = None) -> Ended:
        """Stop what still runs, and count. Does not wait for a policy or segmenter.

        Args:
            ending: The end that somebody asks for: canceled, pre-empted, shut down. It goes before all votes; the
                first answer is its best so far.
        """
        with self._lock:
            self._closed = True
            others = [*self._others]
        self._cancel.set()
        for episode in others:
            if time.monotonic() < self.until:
                episode.stop(Outcome.CANCELED)
            else:
                episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT, "the time for votes is over")
        if not others and ending is None:
            return self._first
        (first, trace), traces = self._first, tuple(one.trace for one in others)
        seconds = first.total_seconds + time.monotonic() - self._started
        elected_result, elected_trace = elected([self._first, *((one.result, one.trace) for one in others)], seconds)
        if ending is None:
            return elected_result, elected_trace
        result = replace(
            elected_result,
            outcome=ending.outcome,
            error_code=ending.error_code,
            error_msg=ending.error_msg,
            instances=first.instances,
            candidates=(),
            question="",
            reason="",
            partial=bool(first.instances),
        )
        return result, replace(trace, attempts=traces, seconds=seconds).ended(result)

    def _decided(self) -> bool:
        """As `decided`; the lock is held."""
        done = [self._first[0], *(episode.result for episode in self._others if episode.done)]
        missing = self._votes - 1 - len(self._others) if self._may_begin() else 0
        outstanding = sum(not episode.done for episode in self._others) + missing
        return self._closed or outstanding == 0 or counted(done).decided(outstanding)

    def _may_begin(self) -> bool:
        return not self._closed and time.monotonic() < self.until

    def _fill(self) -> None:
        """Begin attempts; the lock is held."""
        while self._running < self._at_once and len(self._others) < self._votes - 1 and not self._decided():
            if not self._may_begin() or self._threads.lent >= MOST_THREADS:
                self._votes = len(self._others) + 1  # no more than these
                return
            thread = self._threads.lend()
            try:
                episode, policy = self._begin(len(self._others) + 2, self.until - time.monotonic())
            except Exception:  # the first answer is there, and goes out without more votes
                log.exception("an attempt to vote could not begin")
                self._threads.give_back(thread)
                self._votes = len(self._others) + 1
                return
            self._others.append(episode)
            self._running += 1
            future = thread.call(partial(drive, episode, policy, self._cancel))
            future.add_done_callback(partial(self._came_back, thread, episode))

    def _came_back(self, thread: DaemonThread, episode: Episode, future: Future[Any]) -> None:
        """Note the end of an attempt, in its own thread."""
        if future.exception() is not None:  # SystemExit of a model, for instance: others are errors of the episode
            episode.stop(Outcome.FAILED, ErrorCode.POLICY_FAILED, "the thread of the attempt was ended")
        self._threads.give_back(thread)
        with self._lock:
            self._running -= 1
            self._fill()
        if self._on_change is not None:
            self._on_change()


def vote(
    first: Ended,
    begin: Begin,
    budget: Budget,
    until: float,
    *,
    threads: DaemonThreads,
    one_by_one: bool = False,
    cancel: CancelToken | None = None,
) -> Ended:
    """Vote on a goal whose first episode is done. Blocks until it is decided, its time is over, or `cancel` is set.

    Args:
        first: The first attempt.
        begin: Begins another.
        budget: Its votes, and how long the first answer may wait for them.
        until: `time.monotonic()` at the goal's deadline.
        threads: To drive attempts in.
        one_by_one: One attempt after the other.
        cancel: Stops all attempts, and makes the goal CANCELED.
    """
    changed = threading.Event()
    voting = Voting(first, begin, budget, until, threads=threads, one_by_one=one_by_one, on_change=changed.set)
    voting.start()
    while not voting.decided and time.monotonic() < voting.until:
        if cancel is not None and cancel.is_set:
            return voting.close(Result(Outcome.CANCELED))
        changed.wait(POLL)
        changed.clear()
    return voting.close()
