"""Playing a record back: the same to the bit, or told turn by turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import POLICY_SCRIPTS, SEGMENT, FakeSegmenter, Slow
from recorded import noise, recorded

from rsagent_ros.agent.actions import MAX_REPLY_CHARS
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.policies.reference import ReferencePolicy
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Record
from rsagent_ros.records.replay import replay
from rsagent_ros.records.writer import Limits, RecordWriter
from rsagent_ros.segmenters.classical import ClassicalSegmenter

REPEATABLE = sorted(set(POLICY_SCRIPTS) - {"hang", "hang_at_once", "slow"})


def said(record: Record, segmenter: FakeSegmenter) -> list[str]:
    return [str(difference) for difference in replay(record, segmenter).found]


@pytest.mark.parametrize("script", REPEATABLE)
def test_every_ending_repeats(script: str) -> None:
    record = recorded(POLICY_SCRIPTS[script])
    played = replay(record, FakeSegmenter())
    assert played.found == ()
    assert played.same
    assert [turn.mask for turn in played.trace.turns] == [turn.mask for turn in record.trace.turns]
    assert played.trace.outcome is record.trace.outcome


@pytest.mark.parametrize(
    ("script", "budget", "code"),
    [
        ([SEGMENT, Slow(0.3)], Budget(seconds=0.2), ErrorCode.TIME_SPENT),
        ([SEGMENT], Budget(max_turns=3), ErrorCode.TURNS_SPENT),
        ([SEGMENT, "x" * (MAX_REPLY_CHARS + 1000)], Budget(max_turns=4), ErrorCode.TURNS_SPENT),
    ],
)
def test_spent_budgets_repeat(script: list[str | Slow], budget: Budget, code: ErrorCode) -> None:
    record = recorded(script, budget=budget)
    assert record.trace.error_code is code
    assert said(record, FakeSegmenter()) == []


def test_the_real_agent_repeats_through_the_disk(tmp_path: Path) -> None:
    image = np.full((120, 160, 3), 190, np.uint8)
    image[40:80, 30:70] = 210, 40, 40
    image[40:80, 90:130] = 30, 80, 200
    policy = ReferencePolicy()
    episode = Episode(image, "the red square", ClassicalSegmenter(), policy_name=policy.name, pictures=policy.pictures)
    assert drive(episode, policy).outcome is Outcome.FOUND
    writer = RecordWriter(tmp_path, Limits(free_megabytes=0))
    back = read_record(writer.write(Record("g", 1, "", image, episode.trace)))
    assert replay(back, ClassicalSegmenter()).same


def test_another_segmenter_is_told_turn_by_turn() -> None:
    record = recorded(POLICY_SCRIPTS["ambiguous"])
    told = said(record, FakeSegmenter(score=0.5))
    assert "turn 1: score was 0.9, is 0.5" in told
    assert "turn 2: score was 0.9, is 0.5" in told
    assert any(line.startswith("episode: confidences was (0.9, 0.9)") for line in told)


def test_one_pixel_is_a_difference() -> None:
    record = recorded()
    first = record.trace.turns[0]
    mask = record.trace.mask(1)
    assert mask is not None
    mask[0, 0] = True
    turns = (replace(first, mask=encode_rle(mask)), *record.trace.turns[1:])
    told = said(replace(record, trace=replace(record.trace, turns=turns)), FakeSegmenter())
    assert told == ["turn 1: mask was 769 pixels, is 768 pixels, 1 of them different, IoU 0.9987"]


def test_a_segmenter_that_failed_then_or_fails_now() -> None:
    failed = recorded(segmenter=FakeSegmenter("raises"))
    assert failed.trace.outcome is Outcome.FAILED
    assert said(failed, FakeSegmenter("raises")) == []
    told = said(failed, FakeSegmenter())
    assert "turn 1: mask was none, is 768 pixels" in told
    broken = said(recorded(), FakeSegmenter("raises"))
    assert "turn 1: mask was 768 pixels, is none" in broken
    assert "episode: number of turns was 2, is 1" in broken


def test_another_image_is_another_episode() -> None:
    policy, segmenter = ReferencePolicy(), ClassicalSegmenter()
    image = np.full((120, 160, 3), 190, np.uint8)
    image[40:80, 30:70] = 210, 40, 40
    episode = Episode(image, "the red square", segmenter, policy_name=policy.name, pictures=policy.pictures)
    drive(episode, policy)
    record = Record("g", 1, "", noise(160, 120), episode.trace)
    assert not replay(record, segmenter).same


def test_the_last_word_of_a_calibration_is_not_held_against_the_episode() -> None:
    """The turns repeat; that the answer was doubted afterwards is no difference."""
    record = recorded(POLICY_SCRIPTS["instant"])
    doubted = replace(record.trace, outcome=Outcome.GAVE_UP, confidences=(0.5,), partial=True)
    assert said(replace(record, trace=replace(doubted, calibrated=True)), FakeSegmenter()) == []
    assert said(replace(record, trace=doubted), FakeSegmenter())[0].startswith("episode: outcome was ")
