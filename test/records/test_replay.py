"""Playing a record back: the same to the bit, or told turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import (
    ABSENT,
    FINISH,
    FINISH_SECOND,
    MALFORMED,
    NO,
    POLICY_SCRIPTS,
    SEGMENT,
    SEGMENT_LEFT,
    YES,
    ZOOM,
    FakePolicy,
    FakeSegmenter,
    Slow,
    Step,
)
from recorded import noise, recorded

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.parsing import MAX_REPLY_CHARS
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.votes import elected
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Record
from rsagent_ros.records.replay import replay
from rsagent_ros.records.writer import RecordWriter

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


BOTH = render(Finish((1, 2)))
SEGMENT_FAR = render(Segment(box=Box(800, 800, 1000, 1000)))


@pytest.mark.parametrize(
    ("script", "looks", "outcome"),
    [
        ([SEGMENT, FINISH], [YES], Outcome.FOUND),
        ([SEGMENT, FINISH], [NO], Outcome.FOUND),
        ([SEGMENT, FINISH, SEGMENT_LEFT, FINISH_SECOND], [NO, YES], Outcome.FOUND),
        ([SEGMENT, FINISH, SEGMENT, FINISH_SECOND], [NO], Outcome.FOUND),
        ([SEGMENT, SEGMENT_LEFT, BOTH, FINISH], [YES, NO], Outcome.FOUND),
        ([SEGMENT, SEGMENT_LEFT, BOTH, BOTH], [NO, ValueError("a fault")], Outcome.FOUND),
        ([SEGMENT, FINISH, ABSENT], [NO], Outcome.NOT_IN_VIEW),
        ([SEGMENT, FINISH], [MALFORMED], Outcome.FOUND),
        ([SEGMENT, FINISH], ["x" * (MAX_REPLY_CHARS + 1000)], Outcome.FOUND),
        ([SEGMENT, FINISH], [Reply(NO, "deadline")], Outcome.FOUND),
        ([SEGMENT, FINISH], [Reply("", "cancel")], Outcome.CANCELED),
        ([SEGMENT, FINISH, ValueError("a fault")], [NO], Outcome.FAILED),
    ],
)
def test_second_looks_repeat_through_the_disk(
    tmp_path: Path, script: list[Step], looks: list[Step], outcome: Outcome
) -> None:
    record = recorded(script, looks=looks, budget=Budget(seconds=600.0, second_look=True))
    assert record.trace.outcome is outcome
    back = read_record(RecordWriter(tmp_path, Limits(free_megabytes=0)).write(record))
    assert back.trace == record.trace
    played = replay(back, FakeSegmenter())
    assert played.found == ()
    assert len(played.trace.second_looks) == len(record.trace.second_looks)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_said_repeats(seed: int) -> None:
    dice = np.random.default_rng(seed)
    words = [SEGMENT, SEGMENT_LEFT, ZOOM, FINISH, FINISH, FINISH_SECOND, BOTH, MALFORMED]
    script: list[Step] = [SEGMENT, *(words[number] for number in dice.integers(len(words), size=8))]
    opinions: list[Step] = [YES, NO, NO, MALFORMED, SEGMENT, ValueError("a fault"), Reply(YES, "length"), Reply(NO)]
    looks = [opinions[number] for number in dice.integers(len(opinions), size=6)]
    budget = Budget(seconds=600.0, max_turns=int(dice.integers(2, 9)), second_look=True)
    record = recorded(script, looks=looks, budget=budget)
    assert said(record, FakeSegmenter()) == []
    doubted = [look.mask_id for look in record.trace.second_looks if look.verdict == "no"]
    ids, confidences = record.trace.instance_ids, record.trace.confidences
    for mask_id, confidence in zip(ids, confidences, strict=True):
        assert confidence == pytest.approx(0.45 if mask_id in doubted else 0.9)


def test_budgets_that_were_spent_around_a_second_look_repeat() -> None:
    looking = Budget(seconds=600.0, second_look=True)
    late = recorded([SEGMENT, FINISH], looks=[Slow(1.1, NO)], budget=replace(looking, seconds=1.0))
    assert (late.trace.outcome, late.trace.error_code) == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    turns = recorded([SEGMENT, FINISH], looks=[NO], budget=replace(looking, max_turns=2))
    assert turns.trace.error_code is ErrorCode.TURNS_SPENT
    never = recorded([SEGMENT, Slow(1.1, FINISH)], looks=[NO], budget=replace(looking, seconds=1.0))
    assert never.trace.second_looks == ()
    for record in (late, turns, never):
        assert said(record, FakeSegmenter()) == []


def test_a_second_look_that_hung_repeats() -> None:
    image = noise()
    episode = Episode(image, "the thing", FakeSegmenter(), Budget(seconds=600.0, second_look=True), policy_name="p")
    episode.step(Reply(SEGMENT))
    episode.step(Reply(FINISH))
    assert episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT, "time is up").outcome is Outcome.FOUND
    assert said(Record("g", 1, "", image, episode.trace), FakeSegmenter()) == []


def test_another_verdict_is_a_difference() -> None:
    record = recorded([SEGMENT, FINISH], looks=[YES], budget=Budget(seconds=600.0, second_look=True))
    first, last = record.trace.turns
    turned = replace(last, second_looks=(replace(last.second_looks[0], verdict="no", reason="it is a plate"),))
    told = said(replace(record, trace=replace(record.trace, turns=(first, turned))), FakeSegmenter())
    assert [line.partition(" was ")[0] for line in told] == ["turn 2: second_looks"]


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


def voted(*scripts: Sequence[Step]) -> Record:
    """The record of a goal whose attempts said that."""
    records = [recorded(script) for script in scripts]
    results = []
    for record in records:
        episode = Episode(record.image, record.trace.instruction, FakeSegmenter(), goal_id=record.goal_id)
        drive(episode, FakePolicy([turn.reply for turn in record.trace.turns]))
        results.append((episode.result, record.trace))
    return replace(records[0], trace=elected(results, 1.0)[1])


@pytest.mark.parametrize(
    ("scripts", "outcome"),
    [
        (([SEGMENT, FINISH], [ABSENT], [ABSENT]), Outcome.NOT_IN_VIEW),
        (([ABSENT], [SEGMENT, FINISH], [SEGMENT, FINISH]), Outcome.FOUND),
        (([SEGMENT, FINISH], [SEGMENT_FAR, FINISH]), Outcome.AMBIGUOUS),
        (([SEGMENT, FINISH], [ABSENT]), Outcome.GAVE_UP),
    ],
)
def test_votes_are_counted_again_through_the_disk(
    scripts: tuple[list[str], ...], outcome: Outcome, tmp_path: Path
) -> None:
    record = voted(*scripts)
    assert record.trace.outcome is outcome
    path = RecordWriter(tmp_path, Limits(free_megabytes=0.0)).write(record)
    again = read_record(path)
    assert again.trace == record.trace
    assert replay(again, FakeSegmenter()).found == ()
    assert said(again, FakeSegmenter(score=0.5)) != []


def test_a_goal_that_was_ended_while_it_was_voted_on_repeats() -> None:
    record = recorded(POLICY_SCRIPTS["instant"])
    other = recorded(POLICY_SCRIPTS["breaks_off"]).trace
    assert other.outcome is Outcome.CANCELED
    ended = replace(record.trace, outcome=Outcome.CANCELED, partial=True, attempts=(other,))
    assert replay(replace(record, trace=ended), FakeSegmenter()).found == ()


def test_the_last_word_of_a_calibration_is_not_held_against_the_episode() -> None:
    """The turns repeat; that the answer was doubted afterwards is no difference."""
    record = recorded(POLICY_SCRIPTS["instant"])
    doubted = replace(record.trace, outcome=Outcome.GAVE_UP, confidences=(0.5,), partial=True)
    assert said(replace(record, trace=replace(doubted, calibrated=True)), FakeSegmenter()) == []
    assert said(replace(record, trace=doubted), FakeSegmenter())[0].startswith("episode: outcome was ")
