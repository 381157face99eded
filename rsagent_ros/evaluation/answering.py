"""Run the agent on one example and score its answer; never wait for a hung backend for ever."""

from __future__ import annotations

import inspect
import threading
import time
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from rsagent_ros.agent.accounting import second_looks_of
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.daemon_threads import DaemonThreads
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.policy import BatchPolicy, Conversation, Policy
from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.votes import elected
from rsagent_ros.agent.voting import vote
from rsagent_ros.backends import Models
from rsagent_ros.data.example import Example
from rsagent_ros.evaluation.recorded import RecordedPolicy
from rsagent_ros.evaluation.results import ExampleResult, Measured
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score
from rsagent_ros.segmenters.one_at_a_time import one_at_a_time

GRACE = 30.0
"""Seconds past its deadline after which a reply or a tool counts as hung."""

MAX_HUNG = 3
"""Calls that may hang in one process before the run is given up."""


@dataclass(frozen=True, eq=False)
class WorkItem:
    """One example to answer.

    Attributes:
        index: Its number in the data set, from 0.
        example: With its truth, which the agent does not see.
        where: Its place in files, for remarks.
        replies: A trace whose replies are repeated; None to ask the policy.
    """

    index: int
    example: Example
    where: str = ""
    replies: Trace | None = None


class Answering:
    """Answers examples with one policy and one segmenter. A context manager.

    Any number of threads may call `result`.
    """

    def __init__(self, models: Models, budget: Budget, seed: int, grace: float = GRACE) -> None:
        """Take what was loaded.

        Args:
            models: Policy and segmenter; the segmenter is used by one thread at a time.
            budget: Of each example.
            seed: With the index of an example it decides the sampling, of policies that take one (`open(seed)`).
            grace: Seconds past the deadline that are waited.
        """
        self._threads = DaemonThreads("episode")
        self._voters = DaemonThreads("vote")
        self._policy = models.policy
        self._segmenter = one_at_a_time(models.segmenter)
        self._budget = budget
        self._seed = seed
        self._grace = grace
        self._hung = 0
        self._lock = threading.Lock()

    @property
    def hung(self) -> int:
        """Calls that have not come back, and are waited for no more."""
        return self._hung

    def result(self, item: WorkItem, cancel: CancelToken | None = None) -> ExampleResult:
        """Run the episode and score its answer; blocks until its deadline and the grace are over at most.

        Args:
            item: The example to answer.
            cancel: Breaks off a reply; the episode then ends as CANCELED.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: too many calls hang.
        """
        example, until = item.example, time.monotonic() + self._budget.seconds
        if item.replies is not None:
            return result_of(item, self._repeated(item, item.replies, cancel))
        try:
            first, policy = self._begin(item, 1, self._budget.seconds)
        except RunFailed as error:
            return result_of(item, self._refused(example, self._policy, error))
        self._drive(first, policy, cancel)
        if self._budget.votes == 1:
            return result_of(item, first.trace)
        _, trace = vote(
            (first.result, first.trace),
            lambda number, seconds: self._begin(item, number, seconds),
            self._budget,
            until,
            threads=self._voters,
            one_by_one=isinstance(self._policy, BatchPolicy),
            cancel=cancel,
        )
        return result_of(item, trace)

    def close(self) -> None:
        """End the threads that do not hang; the models are the caller's to close."""
        self._threads.close()
        self._voters.close()

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, item: WorkItem, number: int, seconds: float) -> tuple[Episode, Policy]:
        """An attempt at an example, and its policy.

        Raises:
            RunFailed: The example is none that an episode begins with.
        """
        policy = _Seeded(self._policy, self._seed, item.index, number)
        return self._episode(item.example, policy, replace(self._budget, seconds=seconds)), policy

    def _episode(self, example: Example, policy: Policy, budget: Budget) -> Episode:
        return Episode(
            example.image,
            example.instruction,
            self._segmenter,
            budget,
            goal_id=example.id,
            policy_name=policy.name,
            pictures=policy.pictures,
            previous=example.previous,
        )

    def _repeated(self, item: WorkItem, replies: Trace, cancel: CancelToken | None) -> Trace:
        """The trace of the same replies, of all attempts where there were several."""
        ended = []
        started = time.monotonic()
        for one in replies.all_attempts:
            policy = RecordedPolicy(one)
            budget = replace(self._budget, **second_looks_of(one))
            try:
                episode = self._episode(item.example, policy, budget)
            except RunFailed as error:
                return self._refused(item.example, policy, error)
            self._drive(episode, policy, cancel)
            ended.append((episode.result, episode.trace))
        return elected(ended, time.monotonic() - started)[1] if len(ended) > 1 else ended[0][1]

    def _drive(self, episode: Episode, policy: Policy, cancel: CancelToken | None) -> None:
        """Drive it in a thread of its own, kept for the next one.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: too many calls hang.
        """
        with self._lock:
            if self._hung > MAX_HUNG:
                raise RunFailed(
                    ErrorCode.MODEL_UNAVAILABLE,
                    f"{self._hung} calls of {policy.name} or {self._segmenter.name} hang; restart what serves them, "
                    "and give the same command again to go on",
                )
        thread = self._threads.lend()
        finished = thread.call(lambda: drive(episode, policy, cancel))
        try:
            finished.result(self._budget.seconds + self._grace)
        except TimeoutError:
            with self._lock:
                self._hung += 1
            episode.stop(
                Outcome.GAVE_UP,
                ErrorCode.TIME_SPENT,
                f"a call did not return {self._grace:g} s after the time budget of {self._budget.seconds:g} s",
            )
        else:
            self._threads.give_back(thread)

    def _refused(self, example: Example, policy: Policy, error: RunFailed) -> Trace:
        """The trace of an episode that could not begin."""
        height, width = example.shape
        return Trace(
            example.id,
            example.instruction,
            width,
            height,
            self._budget.max_turns,
            policy.pictures,
            policy.name,
            self._segmenter.name,
            outcome=Outcome.FAILED,
            error_code=error.code,
            error_msg=error.message,
        )


def result_of(item: WorkItem, trace: Trace) -> ExampleResult:
    """The result of a finished episode: its answer held against the truth of its example."""
    answer = prediction_of(trace)
    return ExampleResult(
        score(answer, item.example, index=item.index),
        Measured(
            trace.seconds,
            sum(reply.reply_seconds for reply in trace.replies),
            sum(turn.tool_seconds for one in trace.all_attempts for turn in one.turns),
            sum(reply.cached_tokens for reply in trace.replies),
        ),
        None if answer.mask is None else encode_rle(answer.mask),
        tuple(f"{item.where}: {remark}" for remark in item.example.remarks),
        msgspec.Raw(trace.to_json().encode()),
    )


class _Seeded:
    """A policy whose conversation is sampled as seed, example and attempt say, not as the order of examples does."""

    def __init__(self, policy: Policy, seed: int, index: int, attempt: int) -> None:
        self.name, self.pictures = policy.name, policy.pictures
        self._policy, self._entropy = policy, (seed, index) if attempt == 1 else (seed, index, attempt)

    def open(self) -> Conversation:
        if "seed" not in inspect.signature(self._policy.open).parameters:
            return self._policy.open()
        seed = int(np.random.SeedSequence(self._entropy).generate_state(1)[0]) >> 1  # servers want 31 bits
        return self._policy.open(seed=seed)  # type: ignore[call-arg]  # not every policy has it
