"""An answer held against what the other way of looking finds: agreed, preferred, unclear, unjudged."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fakes import (
    ABSENT,
    FINISH,
    FINISH_SECOND,
    MALFORMED,
    NO,
    SEGMENT,
    YES,
    FakeFinder,
    FakePolicy,
    Hang,
    SegmenterFault,
    Step,
)
from verification_cases import FRAME

from rsagent_ros.agent.actions import Find, Finish, ReportAmbiguous, Segment, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.other_way import noun_phrase
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.verification import REJECTED_FACTOR

MIDDLE, RIGHT = Box(0.25, 0.25, 0.75, 0.75), Box(0.8, 0.1, 1.0, 0.4)
FIRST, OTHER = render(Finish((1,))), render(Finish((2,)))
EITHER = render(ReportAmbiguous((1, 2), "Which?"))
LOOKING = Budget(seconds=600.0, second_look=True, cross_check=True)


def driven(
    script: Sequence[Step], looks: Sequence[Step], known: dict[str, list[Box]], budget: Budget = LOOKING
) -> tuple[Episode, FakePolicy, FakeFinder]:
    finder = FakeFinder(known)
    episode, policy = (
        Episode(FRAME, "Please find the mug on the left.", finder, budget),
        FakePolicy(script, looks=looks),
    )
    drive(episode, policy)
    assert Trace.from_json(episode.trace.to_json()) == episode.trace
    return episode, policy, finder


def said(episode: Episode) -> list[tuple[int, int, bool, str]]:
    return [(one.mask_id, one.against, one.swapped, one.verdict) for one in episode.trace.second_looks]


def test_where_words_find_the_same_nothing_more_is_asked() -> None:
    episode, _, finder = driven([SEGMENT, FINISH], [YES], {"mug": [RIGHT, MIDDLE]})
    assert finder.found == ["mug"]
    assert (episode.result.outcome, said(episode)) == (Outcome.FOUND, [(1, 0, False, "yes")])
    assert episode.result.confidence == pytest.approx(0.9)


def test_where_words_find_nothing_they_have_no_opinion() -> None:
    episode, _, _ = driven([SEGMENT, FINISH], [YES], {})
    assert (episode.result.outcome, len(episode.trace.second_looks)) == (Outcome.FOUND, 1)


def test_an_answer_that_both_orders_prefer_stands() -> None:
    episode, policy, _ = driven([SEGMENT, FINISH], [YES, FIRST, OTHER], {"mug": [RIGHT]})
    assert episode.result.outcome is Outcome.FOUND
    assert said(episode) == [(1, 0, False, "yes"), (1, 2, False, "yes"), (1, 2, True, "yes")]
    assert episode.result.confidence == pytest.approx(0.9)
    first, swapped = (chat[1].pictures for chat in policy.heard[2:])
    assert [picture.kind for picture in first] == ["view", "overlay", "overlay"]
    assert (first[1].pixels == swapped[2].pixels).all()
    assert (first[2].pixels == swapped[1].pixels).all()


def test_another_that_both_orders_prefer_is_a_correction() -> None:
    looks = [YES, OTHER, FIRST, YES]
    episode, policy, _ = driven([SEGMENT, FINISH, FINISH_SECOND], looks, {"mug": [RIGHT]})
    assert episode.result.outcome is Outcome.FOUND
    assert [one.mask_id for one in episode.result.instances] == [2]
    assert episode.result.instances[0].box.x0 > 100
    refused = episode.trace.turns[1]
    assert (refused.error_code, refused.picture) == ("second_look", "marks")
    assert "mask 2 instead of mask 1" in refused.observation
    assert policy.heard[0][-1].pictures[0].kind == "marks"
    assert episode.trace.trust(1) == REJECTED_FACTOR
    assert episode.result.confidence == pytest.approx(0.9)


def test_who_insists_against_both_orders_is_trusted_less() -> None:
    episode, _, _ = driven([SEGMENT, FINISH, FINISH], [YES, OTHER, FIRST], {"mug": [RIGHT]})
    assert episode.result.outcome is Outcome.FOUND
    assert episode.result.confidence == pytest.approx(0.9 * REJECTED_FACTOR)
    assert episode.trace.confidence(1) == pytest.approx(0.9 * REJECTED_FACTOR)


@pytest.mark.parametrize("orders", [(FIRST, FIRST), (OTHER, OTHER), (EITHER, EITHER), (NO, FIRST), (OTHER, MALFORMED)])
def test_orders_that_do_not_agree_are_a_question(orders: tuple[str, str]) -> None:
    episode, _, _ = driven([SEGMENT, FINISH], [YES, *orders], {"mug": [RIGHT]})
    result = episode.result
    assert (result.outcome, [one.mask_id for one in result.candidates]) == (Outcome.AMBIGUOUS, [1, 2])
    assert result.question
    assert [one.confidence for one in result.candidates] == pytest.approx([0.9 * REJECTED_FACTOR, 0.9])
    assert episode.trace.confidences == tuple(one.confidence for one in result.candidates)
    assert episode.trace.mask(2) is not None


def test_without_any_judge_the_answer_stands_with_less_trust() -> None:
    episode, _, _ = driven([SEGMENT, FINISH], [YES, MALFORMED], {"mug": [RIGHT]})
    assert episode.result.outcome is Outcome.FOUND
    assert episode.result.confidence == pytest.approx(0.9 * REJECTED_FACTOR)


def test_of_several_masks_the_one_in_doubt_is_trusted_less() -> None:
    known = {"mug": [MIDDLE, Box(0.0, 0.8, 0.2, 1.0)]}
    far = render(Segment(box=Box(800, 100, 1000, 400)))
    both = render(Finish((1, 2)))
    episode, _, _ = driven([SEGMENT, far, both], [YES, YES, FIRST, FIRST], known)
    assert episode.result.outcome is Outcome.FOUND
    assert [one.confidence for one in episode.result.instances] == pytest.approx([0.9, 0.9 * REJECTED_FACTOR])


def test_what_words_found_is_checked_by_a_box() -> None:
    class Loose(FakeFinder):
        """What a box is around is its left third."""

        def masks(self, encoding, prompt):
            (one,) = super().masks(encoding, prompt)
            one.mask[:, 50:] = False
            return [one]

    finder = Loose({"mug": [MIDDLE]})
    episode = Episode(FRAME, "the mug", finder, LOOKING)
    policy = FakePolicy([render(Find("mug")), FINISH], looks=[YES, FIRST, OTHER])
    drive(episode, policy)
    assert episode.result.outcome is Outcome.FOUND
    assert said(episode)[1:] == [(1, 2, False, "yes"), (1, 2, True, "yes")]
    assert finder.found == ["mug"]


@pytest.mark.parametrize("fault", ["raises", "out_of_memory", "nan_score", "empty_mask", "wrong_shape"])
def test_no_goal_fails_by_the_other_way(fault: SegmenterFault) -> None:
    class Faulty(FakeFinder):
        def find(self, encoding, phrase):
            if fault == "raises":
                raise ValueError("a fault")
            self.fault = fault
            return super().find(encoding, phrase)

    episode = Episode(FRAME, "the mug", Faulty({"mug": [RIGHT]}), LOOKING)
    drive(episode, FakePolicy([SEGMENT, FINISH], looks=[YES]))
    assert (episode.result.outcome, len(episode.trace.second_looks)) == (Outcome.FOUND, 1)


def test_a_rejected_answer_is_sent_back_before_anything_is_compared() -> None:
    episode, _, finder = driven([SEGMENT, FINISH, ABSENT], [NO], {"mug": [RIGHT]})
    assert (episode.result.outcome, finder.found) == (Outcome.NOT_IN_VIEW, [])


def test_it_can_be_left_out() -> None:
    budget = Budget(seconds=600.0, second_look=True)
    episode, _, finder = driven([SEGMENT, FINISH], [YES], {"mug": [RIGHT]}, budget)
    assert (episode.result.outcome, finder.found) == (Outcome.FOUND, [])


@pytest.mark.parametrize(("below", "looks"), [(1.0, 1), (0.95, 1), (0.9, 0), (0.5, 0)])
def test_only_unsure_answers_are_looked_at_again_where_that_is_wanted(below: float, looks: int) -> None:
    budget = Budget(seconds=600.0, second_look=True, second_look_below=below)
    episode, _, _ = driven([SEGMENT, FINISH], [YES], {}, budget)
    assert (episode.result.outcome, len(episode.trace.second_looks)) == (Outcome.FOUND, looks)


def test_a_comparison_that_hangs_costs_trust_and_not_the_answer() -> None:
    episode = Episode(FRAME, "the mug", FakeFinder({"mug": [RIGHT]}), LOOKING)
    policy = FakePolicy([SEGMENT, FINISH], looks=[YES, Hang()])
    from rsagent_ros.agent.daemon_threads import DaemonThread
    from rsagent_ros.agent.outcome import ErrorCode

    waiting = DaemonThread("test").call(lambda: drive(episode, policy))
    while len(policy.heard) < 3 or not policy.heard[2]:
        assert not waiting.done()
    result = episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    policy.release.set()
    assert result.outcome is Outcome.FOUND
    assert result.confidence == pytest.approx(0.9 * REJECTED_FACTOR)
    assert episode.trace.mask(2) is not None
    assert waiting.result(10.0).outcome is Outcome.FOUND


@pytest.mark.parametrize(
    ("instruction", "phrase"),
    [
        ("the red mug", "red mug"),
        ("Please find the mug on the left.", "mug"),
        ("a coffee cup with a handle", "coffee cup"),
        ("pick up the left one", "left one"),
        ("the big old red wooden kitchen table leg", ""),
        ("", ""),
    ],
)
def test_the_noun_phrase_of_an_instruction(instruction: str, phrase: str) -> None:
    assert noun_phrase(instruction) == phrase
