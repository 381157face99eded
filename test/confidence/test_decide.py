"""The threshold: an answer that is not sure enough is handed over as what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from fakes import ABSENT, AMBIGUOUS, FINISH, MALFORMED, NO, SEGMENT, SEGMENT_LEFT, YES, FakePolicy, FakeSegmenter

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.confidence import Calibration, decide
from rsagent_ros.confidence.evidence import NAMES

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
RIGHT = render(Segment(box=Box(900, 0, 1000, 1000)))
COUNT = len(NAMES)


def sure(confidence: float) -> Calibration:
    """A calibration that says the same of everything."""
    bias = float(np.log(confidence / (1 - confidence)))
    zeros, ones = (0.0,) * COUNT, (1.0,) * COUNT
    return Calibration("platt", NAMES, zeros, zeros, ones, zeros, bias, (), (), 50, 0.5)


def played(*script: str, looks: Sequence[str] = ()) -> tuple[Result, Trace]:
    """With `looks`, each mask is looked at a second time."""
    episode = Episode(FRAME, "the middle", FakeSegmenter(score=0.9), Budget(seconds=600.0, second_look=bool(looks)))
    result = drive(episode, FakePolicy(list(script), looks=looks or [MALFORMED]))
    return result, episode.trace


def test_sure_enough_stays_found_with_its_calibrated_confidence() -> None:
    result, trace = decide(*played(SEGMENT, FINISH), sure(0.7), 0.6)
    assert result.outcome is trace.outcome is Outcome.FOUND
    assert result.confidence == pytest.approx(0.7)
    assert trace.confidences == pytest.approx((0.7,))


def test_who_insists_on_a_doubted_mask_is_held_against_the_threshold() -> None:
    insisted = played(SEGMENT, FINISH, FINISH, looks=[NO])
    assert insisted[0].outcome is Outcome.FOUND
    for calibration, confidence in ((None, 0.45), (sure(0.8), 0.4)):
        result, trace = decide(*insisted, calibration, 0.5)
        assert result.outcome is trace.outcome is Outcome.GAVE_UP
        assert result.confidence == pytest.approx(confidence)
        assert decide(*insisted, calibration, 0.3)[0].outcome is Outcome.FOUND
    confirmed, _ = decide(*played(SEGMENT, FINISH, looks=[YES]), sure(0.8), 0.5)
    assert (confirmed.outcome, confirmed.confidence) == (Outcome.FOUND, pytest.approx(0.8))


def test_a_thing_that_was_doubted_is_the_last_candidate() -> None:
    script = (SEGMENT, FINISH, render(Segment(box=Box(0, 0, 100, 1000))), RIGHT, render(Finish((3,))))
    result, _ = decide(*played(*script, looks=[NO, YES]), None, 0.95)
    assert result.outcome is Outcome.AMBIGUOUS
    assert [(one.mask_id, round(one.confidence, 2)) for one in result.candidates] == [(3, 0.9), (2, 0.9), (1, 0.45)]


def test_unsure_with_nothing_else_in_sight_gives_up_with_the_mask() -> None:
    before = played(SEGMENT, FINISH)
    result, trace = decide(*before, sure(0.3), 0.6)
    assert result.outcome is trace.outcome is Outcome.GAVE_UP
    assert result.partial
    assert trace.partial
    assert result.error_code is trace.error_code is ErrorCode.UNSURE
    assert result.error_msg == trace.error_msg == "the confidence is 0.30, below the threshold 0.6"
    assert np.array_equal(result.instances[0].mask, before[0].instances[0].mask)


def test_unsure_with_another_thing_in_sight_asks_which() -> None:
    result, trace = decide(*played(RIGHT, SEGMENT, SEGMENT, render(Finish((2,)))), sure(0.3), 0.6)
    assert result.outcome is trace.outcome is Outcome.AMBIGUOUS
    assert result.instances == ()
    # The answer first, then the other thing; the second try at the same thing is no candidate.
    assert [candidate.mask_id for candidate in result.candidates] == [2, 1]
    assert trace.candidate_ids == (2, 1)
    assert trace.instance_ids == ()
    assert trace.confidences == pytest.approx((0.3, 0.3))
    assert result.question
    assert result.question == trace.question
    assert Trace.from_json(trace.to_json()) == trace


def test_of_several_that_were_found_together_none_vanishes() -> None:
    """Six of them, and another one in sight that was not meant."""
    boxes = [Box(100 * number, 0, 100 * number + 60, 1000) for number in range(7)]
    found = render(Finish(tuple(range(1, 7))))
    result, trace = decide(*played(*(render(Segment(box=box)) for box in boxes), found), sure(0.3), 0.6)
    assert (result.outcome, result.partial, result.question) == (Outcome.GAVE_UP, True, "")
    assert [one.mask_id for one in result.instances] == [1, 2, 3, 4, 5, 6]
    assert trace.instance_ids == (1, 2, 3, 4, 5, 6)
    assert result.candidates == ()


def test_the_threshold_holds_without_a_calibration_too() -> None:
    before = played(SEGMENT, FINISH)
    assert before[0].confidence == pytest.approx(0.9)
    assert decide(*before, None, 0.89)[0].outcome is Outcome.FOUND
    assert decide(*before, None, 0.91)[0].outcome is Outcome.GAVE_UP
    assert decide(*before, None)[1] == before[1]


@pytest.mark.parametrize("script", [(ABSENT,), (SEGMENT, SEGMENT_LEFT, AMBIGUOUS), (SEGMENT,)])
def test_no_other_outcome_changes(script: tuple[str, ...]) -> None:
    before, trace = played(*script)
    after, changed = decide(before, trace, sure(0.01), 0.99)
    assert after.outcome is before.outcome is changed.outcome
    assert after.error_msg == before.error_msg
    assert [one.mask_id for one in after.candidates] == [one.mask_id for one in before.candidates]
    assert all(one.confidence == pytest.approx(0.01) for one in (*after.candidates, *after.instances))


def test_a_threshold_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"threshold is 1\.5"):
        decide(*played(SEGMENT, FINISH), None, 1.5)


def test_a_trace_of_another_episode_is_noticed() -> None:
    result, trace = played(SEGMENT, FINISH)
    with pytest.raises(ValueError, match="holds no mask 1"):
        decide(result, replace(trace, turns=()), sure(0.5), 0.6)
