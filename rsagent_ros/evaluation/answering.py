"""Run the agent on one example and score its answer; never wait for a hung backend for ever."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

import msgspec
import numpy as np

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.policy import Conversation, Policy
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Models
from rsagent_ros.data.example import Example
from rsagent_ros.evaluation.recorded import RecordedPolicy
from rsagent_ros.evaluation.results import ExampleResult, Measured
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score
from rsagent_ros.segmenters.one_at_a_time import OneAtATime

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
            budget: Of each episode.
            seed: With the index of an example it decides the sampling, of policies that take one (`open(seed)`).
            grace: Seconds past the deadline that are waited.
        """
        self._policy = models.policy
        self._segmenter = OneAtATime(models.segmenter)
        self._budget = budget
        self._seed = seed
        self._grace = grace
        self._idle: list[_Thread] = []
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
        example = item.example
        policy, budget = self._policy, self._budget
        if item.replies is not None:
            policy = RecordedPolicy(item.replies)
            budget = replace(budget, second_look=bool(item.replies.second_looks))
        try:
            episode = Episode(
                example.image,
                example.instruction,
                self._segmenter,
                budget,
                goal_id=example.id,
                policy_name=policy.name,
                pictures=policy.pictures,
                previous=example.previous,
            )
        except RunFailed as error:
            return result_of(item, self._refused(example, policy, error))
        self._drive(episode, _Seeded(policy, self._seed, item.index), cancel)
        return result_of(item, episode.trace)

    def close(self) -> None:
        """End the threads that do not hang; the models are the caller's to close."""
        with self._lock:
            while self._idle:
                self._idle.pop().end()

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drive(self, episode: Episode, policy: Policy, cancel: CancelToken | None) -> None:
        """Drive it in a thread of its own, kept for the next one: compiled models are bound to their thread."""
        with self._lock:
            if self._hung > MAX_HUNG:
                raise RunFailed(
                    ErrorCode.MODEL_UNAVAILABLE,
                    f"{self._hung} calls of {policy.name} or {self._segmenter.name} hang; restart what serves them, "
                    "and give the same command again to go on",
                )
            thread = self._idle.pop() if self._idle else _Thread()
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
            with self._lock:
                self._idle.append(thread)

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
    replies = [reply for turn in trace.turns for reply in turn.replies]
    return ExampleResult(
        score(answer, item.example, index=item.index),
        Measured(
            trace.seconds,
            sum(reply.reply_seconds for reply in replies),
            sum(turn.tool_seconds for turn in trace.turns),
            sum(reply.cached_tokens for reply in replies),
        ),
        None if answer.mask is None else encode_rle(answer.mask),
        tuple(f"{item.where}: {remark}" for remark in item.example.remarks),
        msgspec.Raw(trace.to_json().encode()),
    )


class _Thread:
    """A daemon thread that does one call after the other; one that hangs does not keep the process alive."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="episode", daemon=True).start()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Its result, once it is there."""
        future: Future[Any] = Future()
        self._calls.put((function, future))
        return future

    def end(self) -> None:
        """No more calls."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, future = call
            try:
                future.set_result(function())
            except BaseException as error:  # it belongs to the caller, who waits for it
                future.set_exception(error)
            del call, function, future  # an idle thread must not keep an image


class _Seeded:
    """A policy whose conversation is sampled as the seed and the sample say, not as the order of the samples does."""

    def __init__(self, policy: Policy, seed: int, index: int) -> None:
        self.name, self.pictures = policy.name, policy.pictures
        self._policy, self._entropy = policy, (seed, index)

    def open(self) -> Conversation:
        if "seed" not in inspect.signature(self._policy.open).parameters:
            return self._policy.open()
        seed = int(np.random.SeedSequence(self._entropy).generate_state(1)[0]) >> 1  # servers want 31 bits
        return self._policy.open(seed=seed)  # type: ignore[call-arg]  # not every policy has it
