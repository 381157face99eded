"""The evidence for a mask is what its trace says, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import AMBIGUOUS, FINISH, SEGMENT, SEGMENT_LEFT, FakePolicy, FakeSegmenter

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.votes import elected
from rsagent_ros.confidence.evidence import NAMES, answer_ids, evidence_for

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
FAR_RIGHT = render(Segment(box=Box(900, 0, 1000, 1000)))
NEARLY_MIDDLE = render(Segment(box=Box(250, 250, 750, 812.5)))


def played(*script: str, score: float = 0.9) -> Trace:
    episode = Episode(FRAME, "the middle", FakeSegmenter(score=score))
    drive(episode, FakePolicy(list(script)))
    return episode.trace


def test_a_mask_alone() -> None:
    found = evidence_for(played(SEGMENT, FINISH), 1)
    assert found.score == pytest.approx(0.9)
    assert found.stability == 1.0
    assert math.isnan(found.agreement)
    assert (found.tries, found.rival, found.mistakes) == (0.0, 0.0, 0.0)
    assert found.turns == pytest.approx(2 / 8)
    assert math.isnan(found.logprob)
    assert found.vector().shape == (len(NAMES),)


def test_tries_at_the_same_thing_agree_and_another_thing_is_a_rival() -> None:
    trace = played(SEGMENT, NEARLY_MIDDLE, FAR_RIGHT, render(Finish((2,))))
    found = evidence_for(trace, 2)
    assert found.agreement == pytest.approx(24 / 27, abs=0.01)  # rows of the two boxes
    assert found.tries == pytest.approx(math.log(2))
    assert found.rival == pytest.approx(0.9)
    other = evidence_for(trace, 3)
    assert math.isnan(other.agreement)
    assert other.rival == pytest.approx(0.9)


def test_replies_that_failed_are_mistakes() -> None:
    trace = played("no call", SEGMENT, '<tool_call>{"name": "finish"}</tool_call>', FINISH)
    assert evidence_for(trace, 1).mistakes == pytest.approx(math.log(3))


def test_log_probabilities_of_the_last_reply_count() -> None:
    trace = played(SEGMENT, FINISH)
    turns = (replace(trace.turns[0], logprobs=(-5.0,)), replace(trace.turns[1], logprobs=(-0.5, -1.5)))
    assert evidence_for(replace(trace, turns=turns), 1).logprob == pytest.approx(-1.0)


def test_it_is_the_same_after_a_trace_was_written_and_read() -> None:
    trace = played(SEGMENT, SEGMENT_LEFT, FINISH)
    again = Trace.from_json(trace.to_json())
    np.testing.assert_array_equal(evidence_for(trace, 1).vector(), evidence_for(again, 1).vector())


def test_the_share_of_the_votes_is_evidence_and_another_attempt_s_mask_has_its_own() -> None:
    assert math.isnan(evidence_for(played(SEGMENT, FINISH), 1).share)
    traces = [played(SEGMENT, FINISH), played(SEGMENT, FINISH), played(FAR_RIGHT, FINISH, score=0.7)]
    results = []
    for trace in traces:
        episode = Episode(FRAME, "the middle", FakeSegmenter())
        drive(episode, FakePolicy([turn.reply for turn in trace.turns]))
        results.append((episode.result, trace))
    _, trace = elected(results, 1.0)
    assert evidence_for(trace, 1).share == pytest.approx(2 / 3)
    *_, outvoted = trace.borrowed
    other = evidence_for(trace, outvoted)
    assert (other.share, other.score) == (pytest.approx(1 / 3), pytest.approx(0.7))
    assert evidence_for(trace, 1).rival == 0.0


def test_a_mask_that_no_turn_made_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"holds no mask 7; it holds \[1\]"):
        evidence_for(played(SEGMENT, FINISH), 7)


def test_the_masks_of_an_answer() -> None:
    assert answer_ids(played(SEGMENT, FINISH)) == (1,)
    assert answer_ids(played(SEGMENT, SEGMENT_LEFT, AMBIGUOUS)) == (1, 2)
