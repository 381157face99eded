"""Voting: when more attempts begin, when they stop, and that the first answer is never lost or late."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from fakes import ABSENT, Hang, Slow
from voting_cases import Attempts, boxed, release

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.policy import Conversation, Policy

RIGHT, WRONG = boxed(0), boxed(600)


def test_one_vote_is_no_vote() -> None:
    attempts = Attempts({}, RIGHT, Budget(600.0))
    result, trace = attempts.answered()
    assert (result.outcome, len(attempts.policies)) == (Outcome.FOUND, 1)
    assert (trace.attempts, trace.attempt, trace.votes) == ((), 1, ())


def test_the_majority_overrules_the_first_answer() -> None:
    result, trace = Attempts({1: WRONG}, RIGHT).answered(one_by_one=True)
    assert (trace.attempt, trace.votes) == (2, (2, 1, 1, 1))
    assert result.instances[0].box.x0 == 0


def test_it_stops_as_soon_as_the_lead_cannot_change() -> None:
    attempts = Attempts({}, RIGHT)
    _, trace = attempts.answered(one_by_one=True)
    assert trace.votes == (1, 1, 1)
    assert len(attempts.policies) == 3


def test_attempts_run_at_the_same_time_unless_one_by_one() -> None:
    together = threading.Barrier(5, timeout=10.0)

    class Meets:
        """A policy whose conversations begin once five of them are asked for."""

        def __init__(self, policy: Policy) -> None:
            self.name, self.pictures, self._policy = policy.name, policy.pictures, policy

        def open(self) -> Conversation:
            together.wait()
            return self._policy.open()

    class Meeting(Attempts):
        def begin(self, number: int, seconds: float) -> tuple[Episode, Policy]:
            episode, policy = super().begin(number, seconds)
            return episode, Meets(policy) if number > 1 else policy

    meeting = Meeting({}, RIGHT, Budget(600.0, votes=6, votes_seconds=600.0))
    result, _ = meeting.answered()
    assert result.outcome is Outcome.FOUND
    assert not together.broken


def test_a_voter_that_hangs_holds_up_nothing_that_is_decided() -> None:
    attempts = Attempts({2: [Hang()]}, RIGHT)
    result, trace = attempts.answered()
    release(attempts)
    assert result.outcome is Outcome.FOUND
    assert trace.votes[1] == 0
    assert trace.all_attempts[1].outcome is Outcome.CANCELED


def test_when_the_time_for_votes_is_over_the_first_answer_goes_out() -> None:
    attempts = Attempts({1: RIGHT}, [Hang()], Budget(600.0, votes=3, votes_seconds=0.2))
    result, trace = attempts.answered()
    release(attempts)
    assert (result.outcome, trace.attempt, trace.votes) == (Outcome.FOUND, 1, (1, 0, 0))
    assert {one.error_code for one in trace.attempts} == {ErrorCode.TIME_SPENT}


def test_the_goal_s_deadline_ends_the_vote_too() -> None:
    attempts = Attempts({1: RIGHT}, [Hang()], Budget(1.0, votes=3, votes_seconds=600.0))
    started = time.monotonic()
    result, _ = attempts.answered()
    late = time.monotonic() - started
    release(attempts)
    assert result.outcome is Outcome.FOUND
    assert result.total_seconds <= late


def test_after_the_deadline_nothing_begins() -> None:
    attempts = Attempts({1: [Slow(0.1, RIGHT[0]), RIGHT[1]]}, RIGHT, Budget(0.14, votes=3, votes_seconds=600.0))  # type: ignore[arg-type]
    result, trace = attempts.answered()
    assert (result.outcome, trace.attempts) == (Outcome.FOUND, ())


def test_a_cancel_stops_all() -> None:
    cancel = CancelToken()
    attempts = Attempts({1: RIGHT}, [Slow(600.0)])
    threading.Timer(0.1, cancel.set).start()
    result, trace = attempts.answered(cancel=cancel)
    assert (result.outcome, result.partial, len(result.instances)) == (Outcome.CANCELED, True, 1)
    assert (trace.outcome, trace.votes) == (Outcome.CANCELED, ())
    assert {one.outcome for one in trace.attempts} == {Outcome.CANCELED}


@pytest.mark.parametrize("fault", [ValueError("a fault"), RunFailed(ErrorCode.MODEL_UNAVAILABLE, "gone"), SystemExit()])
def test_where_all_others_fail_the_first_stands(fault: BaseException) -> None:
    result, trace = Attempts({1: RIGHT}, [fault]).answered()
    assert (result.outcome, trace.attempt, trace.votes) == (Outcome.FOUND, 1, (1, 0, 0, 0, 0))


def test_an_attempt_that_cannot_begin_leaves_the_first() -> None:
    class Full(Attempts):
        def begin(self, number: int, seconds: float) -> tuple[Episode, Policy]:
            if number > 1:
                raise MemoryError
            return super().begin(number, seconds)

    result, trace = Full({}, RIGHT).answered()
    assert (result.outcome, trace.attempts) == (Outcome.FOUND, ())


@pytest.mark.parametrize("first", [[ValueError("a fault")], [RunFailed(ErrorCode.MODEL_UNAVAILABLE, "gone")]])
def test_a_goal_that_failed_is_not_voted_on(first: list[BaseException]) -> None:
    attempts = Attempts({1: first}, RIGHT)
    result, _ = attempts.answered()
    assert (result.outcome, len(attempts.policies)) == (Outcome.FAILED, 1)


def test_votes_are_right_more_often_than_one_episode_of_a_policy_that_slips() -> None:
    dice = np.random.default_rng(0)
    alone = together = 0
    for _ in range(40):
        slips = {number: WRONG if dice.random() < 0.3 else [ABSENT] for number in range(1, 6) if dice.random() < 0.35}
        attempts = Attempts(slips, RIGHT)
        alone += 1 not in slips
        result, _ = attempts.answered(one_by_one=True)
        right = result.outcome is Outcome.FOUND and result.instances[0].box.x0 == 0
        together += right
        reference = Attempts({}, RIGHT, Budget(600.0)).answered()[0].mask()
        assert reference is not None
        assert not right or iou(result.instances[0].mask, reference) == 1.0
    assert together > alone
