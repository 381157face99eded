"""Second looks cost tokens and time: what is left where those run out, and where the goal is stopped meanwhile."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from fakes import (
    FINISH,
    NO,
    SEGMENT,
    SEGMENT_LEFT,
    YES,
    FakePolicy,
    Hang,
    Slow,
)
from verification_cases import FINISH_BOTH, SECOND_LOOK, begin, driven, verdicts

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.policy import Reply

# --- budgets


def test_a_no_in_the_last_turn_gives_up_with_that_mask() -> None:
    budget = replace(SECOND_LOOK, max_turns=2)
    episode, _ = driven([SEGMENT, FINISH], [NO], budget)
    result = episode.result
    assert (result.outcome, result.error_code, result.partial) == (Outcome.GAVE_UP, ErrorCode.TURNS_SPENT, True)
    assert [(found.mask_id, found.confidence) for found in result.instances] == [(1, pytest.approx(0.45))]
    assert episode.trace.turns[-1].error_code == "second_look"
    assert episode.trace.turns[-1].observation == ""


def test_what_was_sent_back_is_the_best_until_something_else_is_drawn() -> None:
    budget = replace(SECOND_LOOK, max_turns=3)
    both, _ = driven([SEGMENT, SEGMENT_LEFT, FINISH_BOTH], [NO, NO], budget)
    assert [found.mask_id for found in both.result.instances] == [1, 2]
    other, _ = driven([SEGMENT, FINISH, SEGMENT_LEFT], [NO], budget)
    assert [(found.mask_id, other.result.outcome) for found in other.result.instances] == [(2, Outcome.GAVE_UP)]


def test_second_looks_take_no_turn_but_tokens() -> None:
    episode, policy = begin(), FakePolicy([SEGMENT, FINISH], count_tokens=True, looks=[YES])
    result = drive(episode, policy)
    (look,) = episode.trace.second_looks
    assert look.sampled_tokens == len(YES.split())
    assert result.turns == 2
    assert result.sampled_tokens == sum(turn.sampled_tokens for turn in episode.trace.turns) + look.sampled_tokens


def test_tokens_that_a_no_has_spent_end_the_episode() -> None:
    spent = len(SEGMENT.split()) + len(FINISH.split())
    for more, code in ((1, ErrorCode.TOKENS_SPENT), (100, ErrorCode.NONE)):
        episode = begin(replace(SECOND_LOOK, max_tokens=spent + more))
        result = drive(episode, FakePolicy([SEGMENT, FINISH, FINISH], count_tokens=True, looks=[NO]))
        assert result.error_code is code


def test_without_tokens_nobody_is_asked() -> None:
    spent = len(SEGMENT.split()) + len(FINISH.split())
    episode = begin(replace(SECOND_LOOK, max_tokens=spent))
    policy = FakePolicy(count_tokens=True, looks=[NO])
    assert drive(episode, policy).outcome is Outcome.FOUND
    assert [(look.verdict, look.reason) for look in episode.trace.second_looks] == [
        ("failed", "no tokens were left for it")
    ]
    assert len(policy.heard) == 1


def test_limits_of_a_second_look_are_what_is_left() -> None:
    episode = begin(replace(SECOND_LOOK, max_tokens=100, max_reply_tokens=60))
    episode.step(Reply(SEGMENT, sampled_tokens=30))
    assert episode.step(Reply(FINISH, sampled_tokens=40)) is None
    assert episode.verification is not None
    assert episode.limits.max_tokens == 30


def test_when_time_is_over_the_answer_stands() -> None:
    brief = replace(SECOND_LOOK, seconds=1.0)
    said, _ = driven([SEGMENT, FINISH], [Slow(1.1, YES)], brief)
    assert said.result.outcome is Outcome.FOUND
    late = begin(brief)
    assert [late.step(Reply(SEGMENT)) is None, late.step(Reply(FINISH)) is None] == [False, True]
    assert late.wait(1.1) is False
    assert late.submit_verification(Reply("", "deadline")) is not None
    assert late.result.outcome is Outcome.FOUND


def test_a_no_that_comes_late_gives_up_with_that_mask() -> None:
    episode, _ = driven([SEGMENT, FINISH], [Slow(1.1, NO)], replace(SECOND_LOOK, seconds=1.0))
    result = episode.result
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert (result.partial, len(result.instances)) == (True, 1)


# --- stopped while a second look is waited for


def waiting(looks: int = 1) -> Episode:
    """An episode whose answer of two masks waits for the second look at one of them."""
    episode = begin()
    for said in (SEGMENT, SEGMENT_LEFT, FINISH_BOTH):
        episode.step(Reply(said))
    for _ in range(looks - 1):
        assert episode.submit_verification(Reply(NO)) is None
    assert episode.verification is not None
    return episode


@pytest.mark.parametrize("outcome", [Outcome.GAVE_UP, Outcome.FAILED])
def test_a_hung_second_look_does_not_cost_the_answer(outcome: Outcome) -> None:
    episode = waiting()
    result = episode.stop(outcome, ErrorCode.TIME_SPENT, "time is up")
    assert (result.outcome, result.error_code, result.partial, result.turns) == (
        Outcome.FOUND,
        ErrorCode.NONE,
        False,
        3,
    )
    assert [(look.verdict, look.reason) for look in episode.trace.second_looks] == [("failed", "time is up")] * 2
    assert episode.verification is None
    assert episode.submit_verification(Reply(NO)) is None
    assert episode.result is result


def test_a_hung_second_look_after_a_no_gives_up() -> None:
    episode = waiting(looks=2)
    result = episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert (result.outcome, result.error_code, result.partial) == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT, True)
    assert [found.confidence for found in result.instances] == [pytest.approx(0.45), pytest.approx(0.9)]
    assert verdicts(episode)[-1] == [(1, "no", 0), (2, "failed", 0)]


@pytest.mark.parametrize("outcome", [Outcome.CANCELED, Outcome.PREEMPTED, Outcome.SHUTDOWN])
def test_who_is_stopped_on_purpose_has_not_answered(outcome: Outcome) -> None:
    episode = waiting()
    result = episode.stop(outcome)
    assert (result.outcome, result.partial, result.turns) == (outcome, True, 2)
    assert episode.trace.second_looks == ()


def test_a_cancel_during_a_second_look_cancels() -> None:
    cancel = CancelToken()
    episode = begin()
    worker = threading.Thread(target=drive, args=(episode, FakePolicy(looks=[Slow(60, NO)]), cancel))
    worker.start()
    while episode.verification is None:
        assert not episode.wait(0.001)
    cancel.set()
    worker.join(60)
    assert (episode.result.outcome, episode.result.partial) == (Outcome.CANCELED, True)


def test_a_hanging_second_look_is_not_waited_for() -> None:
    episode, policy = begin(), FakePolicy(looks=[Hang()])
    results: list[Result] = []
    worker = threading.Thread(target=lambda: results.append(drive(episode, policy)))
    worker.start()
    while episode.verification is None:
        assert not episode.wait(0.001)
    result = episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert (result.outcome, worker.is_alive()) == (Outcome.FOUND, True)
    policy.release.set()
    worker.join(60)
    assert results == [result]
    assert policy.open_conversations == 0
