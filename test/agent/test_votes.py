"""Votes of several episodes: which agree, who wins, and what a tie ends as."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fakes import ABSENT, AMBIGUOUS, MALFORMED, SEGMENT, SEGMENT_LEFT, FakePolicy, FakeSegmenter, Step
from voting_cases import FRAME, boxed

from rsagent_ros.agent.actions import Finish, GiveUp, Segment, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.votes import counted, elected, share

A, B, C, D, E = boxed(0), boxed(350), boxed(700), boxed(0, 600), boxed(700, 600)
NEARLY_A, LOOSELY_A = boxed(20), boxed(80)
BOTH = [SEGMENT, render(Segment(box=Box(0, 0, 100, 100))), render(Finish((1, 2)))]
QUESTION = [SEGMENT, SEGMENT_LEFT, AMBIGUOUS]
NOT_SURE = [render(GiveUp("I can't tell", "unsure"))]
NO_END = [MALFORMED]


def ended(*scripts: Sequence[Step]) -> list[tuple[Result, Trace]]:
    pairs = []
    for script in scripts:
        episode = Episode(FRAME, "the mug", FakeSegmenter(), Budget(600.0, 3), goal_id="g")
        drive(episode, FakePolicy(script, count_tokens=True))
        pairs.append((episode.result, episode.trace))
    return pairs


def test_masks_that_overlap_by_half_on_average_are_one_answer() -> None:
    results = [result for result, _ in ended(A, B, NEARLY_A, [ABSENT], LOOSELY_A, [ABSENT], QUESTION, NOT_SURE)]
    count = counted(results)
    assert count.groups == ((0, 2, 4), (3, 5), (1,), (6,), (7,))
    assert count.numbers(8) == (1, 3, 1, 2, 1, 2, 4, 5)


@pytest.mark.parametrize(("outstanding", "decided"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_lead_can_change_while_enough_votes_are_out(outstanding: int, decided: bool) -> None:
    count = counted([result for result, _ in ended(A, NEARLY_A, A, B)])
    assert count.decided(outstanding) is (outstanding < 2)
    assert count.decided(outstanding) is decided


def test_the_majority_answers_through_the_mask_that_agrees_best() -> None:
    attempts = ended(B, A, LOOSELY_A, NEARLY_A)
    result, trace = elected(attempts, 1.0)
    assert result.outcome is Outcome.FOUND
    assert (trace.attempt, trace.votes) == (4, (2, 1, 1, 1))
    middle = attempts[3][0].mask()
    assert middle is not None
    assert iou(result.instances[0].mask, middle) == 1.0
    assert [one.turns for one in trace.all_attempts] == [one.turns for _, one in attempts]
    assert result.sampled_tokens == sum(one.sampled_tokens for one, _ in attempts) > 0
    assert Trace.from_json(trace.to_json()) == trace


def test_not_there_can_win() -> None:
    result, trace = elected(ended(A, [ABSENT], [ABSENT]), 1.0)
    assert (result.outcome, result.reason) == (Outcome.NOT_IN_VIEW, "there is nothing like it")
    assert (trace.outcome, trace.votes) == (Outcome.NOT_IN_VIEW, (2, 1, 1))


def test_a_question_and_a_give_up_can_win() -> None:
    asked, _ = elected(ended(A, QUESTION, QUESTION), 1.0)
    assert (asked.outcome, len(asked.candidates)) == (Outcome.AMBIGUOUS, 2)
    unsure, _ = elected(ended(A, NOT_SURE, NOT_SURE), 1.0)
    assert (unsure.outcome, unsure.error_code) == (Outcome.GAVE_UP, ErrorCode.UNSURE)


def test_who_ran_out_of_turns_has_given_up_and_who_failed_has_no_vote() -> None:
    results = [result for result, _ in ended(A, NO_END, [ValueError("a fault")])]
    assert counted(results).groups == ((0,), (1,))


def test_a_tie_of_single_things_asks_which() -> None:
    result, trace = elected(ended(A, B), 1.0)
    assert (result.outcome, result.instances) == (Outcome.AMBIGUOUS, ())
    assert result.question
    assert [one.mask_id for one in result.candidates] == [1, 2] == [*trace.candidate_ids]
    for candidate in result.candidates:
        mask = trace.mask(candidate.mask_id)
        assert mask is not None
        assert iou(mask, candidate.mask) == 1.0
    assert iou(result.candidates[0].mask, result.candidates[1].mask) == 0.0
    assert trace.confidences == tuple(candidate.confidence for candidate in result.candidates)
    again = Trace.from_json(trace.to_json())
    assert again == trace
    assert {number: again.confidence(number) for number in (1, 2)} == pytest.approx({1: 0.9, 2: 0.9})


@pytest.mark.parametrize(
    ("scripts", "masks"), [((A, [ABSENT]), 1), (([ABSENT], A), 1), (([ABSENT], QUESTION), 0), ((A, BOTH), 1)]
)
def test_any_other_tie_gives_up_and_says_so(scripts: tuple[Sequence[Step], ...], masks: int) -> None:
    result, trace = elected(ended(*scripts), 1.0)
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.UNSURE)
    assert (len(result.instances), result.partial) == (masks, bool(masks))
    assert (trace.error_msg, trace.reason) == (result.error_msg, result.reason) != ("", "")
    for instance in (*result.instances, *result.candidates):
        mask = trace.mask(instance.mask_id)
        assert mask is not None
        assert iou(mask, instance.mask) == 1.0


def test_more_tied_things_than_a_question_can_hold_is_a_give_up() -> None:
    result, _ = elected(ended(A, B, C, D, E), 1.0)
    assert (result.outcome, len(result.candidates)) == (Outcome.GAVE_UP, 5)


def test_without_any_vote_the_first_stands() -> None:
    result, trace = elected(ended([ValueError("a fault")], [ValueError("a fault")]), 1.0)
    assert (result.outcome, trace.votes) == (Outcome.FAILED, (0, 0))


def test_the_share_of_an_answer() -> None:
    _, trace = elected(ended(A, NEARLY_A, B, [ABSENT], NO_END), 1.0)
    answered = trace.instance_ids[0]
    borrowed = {own_trace.turns[0].mask_id: number for number, (own_trace, _) in trace.borrowed.items()}
    assert borrowed
    assert share(trace, answered) == pytest.approx(2 / 5)
    assert [share(trace, number) for number in trace.borrowed] == [pytest.approx(2 / 5), pytest.approx(1 / 5)]
    assert share(trace, 99) is None
    _, alone = elected(ended(A, [ValueError("a fault")]), 1.0)
    assert share(alone, 1) is None
