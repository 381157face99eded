"""Budgets of an episode: turns, tokens and seconds end it with the best mask so far; nothing is done beyond them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import FINISH, MALFORMED, SEGMENT, SEGMENT_LEFT, FakeSegmenter

from rsagent_ros.agent.actions import Combine, Segment, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Point
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.policy import Reply, Stop
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt

FRAME = np.zeros((40, 80, 3), dtype=np.uint8)
REFINE = render(Segment(refine=1, negative=(Point(500, 500),)))


class Clock:
    """Stands in for the module `time`: it moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("rsagent_ros.agent.episode.time", clock)
    monkeypatch.setattr("rsagent_ros.agent.budget.time", clock)
    return clock


def begin(segmenter: FakeSegmenter | None = None, **budget: float) -> Episode:
    return Episode(FRAME, "the mug", segmenter or FakeSegmenter(), Budget(**budget))  # type: ignore[arg-type]


# --- turns


def test_turns_run_out() -> None:
    episode = begin(max_turns=3)
    for text in (SEGMENT, SEGMENT_LEFT):
        episode.step(Reply(text))
        assert not episode.done
    turn = episode.step(Reply(MALFORMED))
    result = episode.result
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.TURNS_SPENT)
    assert result.error_msg == "turn limit (3) reached"
    assert (result.turns, result.partial) == (3, True)
    assert turn is not None
    assert turn.observation == ""
    assert episode.messages[-1].role == "assistant"


def test_bad_replies_spend_turns() -> None:
    episode = begin(max_turns=2)
    episode.step(Reply(MALFORMED))
    episode.step(Reply(MALFORMED))
    result = episode.result
    assert (result.outcome, result.instances, result.partial) == (Outcome.GAVE_UP, (), False)


def test_end_in_the_last_turn_counts() -> None:
    episode = begin(max_turns=2)
    episode.step(Reply(SEGMENT))
    episode.step(Reply(FINISH))
    assert episode.result.outcome is Outcome.FOUND


def test_mask_made_in_the_last_turn_counts() -> None:
    episode = begin(max_turns=1)
    episode.step(Reply(SEGMENT))
    assert [found.mask_id for found in episode.result.instances] == [1]


@pytest.mark.parametrize(
    ("replies", "best"),
    [
        ([SEGMENT, SEGMENT_LEFT, MALFORMED], 2),
        ([SEGMENT, REFINE, MALFORMED], 2),
        ([SEGMENT, SEGMENT_LEFT, render(Combine((2,), (1,)))], 3),
    ],
)
def test_best_mask_so_far_is_handed_over(replies: list[str], best: int) -> None:
    episode = begin(max_turns=3)
    for text in replies:
        episode.step(Reply(text))
    assert [found.mask_id for found in episode.result.instances] == [best]
    assert episode.trace.instance_ids == (best,)


# --- tokens


def test_tokens_run_out() -> None:
    episode = begin(max_tokens=100, max_reply_tokens=60)
    assert episode.limits.max_tokens == 60
    episode.step(Reply(SEGMENT, sampled_tokens=60))
    assert episode.limits.max_tokens == 40
    assert not episode.done
    episode.step(Reply(SEGMENT_LEFT, sampled_tokens=40))
    result = episode.result
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.TOKENS_SPENT)
    assert (result.error_msg, result.sampled_tokens) == ("token limit (100) reached", 100)


def test_limits_never_ask_for_less_than_a_token() -> None:
    episode = begin(max_tokens=10)
    episode.step(Reply(FINISH, sampled_tokens=500))
    assert episode.limits.max_tokens == 1


def test_end_that_spends_the_last_token_counts() -> None:
    episode = begin(max_tokens=10)
    episode.step(Reply(SEGMENT, sampled_tokens=1))
    episode.step(Reply(FINISH, sampled_tokens=50))
    assert episode.result.outcome is Outcome.FOUND


# --- seconds


def test_limits_carry_the_deadline_from_the_beginning(clock: Clock) -> None:
    episode = begin(seconds=5)
    clock.now += 3
    assert episode.limits.deadline == 1005.0


def test_seconds_run_out_between_turns(clock: Clock) -> None:
    segmenter = FakeSegmenter()
    episode = begin(segmenter, seconds=5)
    episode.step(Reply(SEGMENT))
    clock.now += 5
    turn = episode.step(Reply(SEGMENT_LEFT))
    assert turn is not None
    assert turn.error_code == "broken_off"
    assert turn.reply == SEGMENT_LEFT
    assert len(segmenter.prompts) == 1
    result = episode.result
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert result.error_msg == "the time budget of 5 s is spent"
    assert (result.total_seconds, [found.mask_id for found in result.instances]) == (5.0, [1])


def test_end_that_comes_too_late_does_not_count(clock: Clock) -> None:
    episode = begin(seconds=5)
    episode.step(Reply(SEGMENT))
    clock.now += 6
    episode.step(Reply(FINISH))
    assert (episode.result.outcome, episode.result.partial) == (Outcome.GAVE_UP, True)


class SlowOn(FakeSegmenter):
    """Takes seconds of the clock for every prompt."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock = clock
        self.seconds = seconds

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        self.clock.now += self.seconds
        return super().masks(encoding, prompt)


def test_mask_of_a_tool_that_ended_late_is_kept(clock: Clock) -> None:
    episode = begin(SlowOn(clock, 4), seconds=5)
    episode.step(Reply(SEGMENT))
    assert not episode.done
    turn = episode.step(Reply(SEGMENT_LEFT))
    assert turn is not None
    assert (turn.mask_id, turn.tool_seconds) == (2, 4.0)
    result = episode.result
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert [found.mask_id for found in result.instances] == [2]
    assert (result.tool_seconds, result.total_seconds) == (8.0, 8.0)


# --- replies that were broken off


@pytest.mark.parametrize(
    ("stop", "outcome", "code"),
    [("cancel", Outcome.CANCELED, ErrorCode.NONE), ("deadline", Outcome.GAVE_UP, ErrorCode.TIME_SPENT)],
)
@pytest.mark.parametrize("text", ["", "<think>I see a m", SEGMENT_LEFT, FINISH])
def test_broken_off_reply_is_kept_and_not_obeyed(stop: Stop, outcome: Outcome, code: ErrorCode, text: str) -> None:
    segmenter = FakeSegmenter()
    episode = begin(segmenter)
    episode.step(Reply(SEGMENT))
    turn = episode.step(Reply(text, stop=stop))
    assert turn is not None
    assert (turn.reply, turn.stop, turn.error_code, turn.tool) == (text, stop, "broken_off", "")
    assert episode.trace.turns[-1] == turn
    assert episode.messages[-1].text == text
    result = episode.result
    assert (result.outcome, result.error_code, result.partial) == (outcome, code, True)
    assert [found.mask_id for found in result.instances] == [1]
    assert len(segmenter.prompts) == 1


def test_reply_cut_at_the_token_limit_is_a_turn_like_any_other() -> None:
    episode = begin()
    turn = episode.step(Reply(SEGMENT.removesuffix("</tool_call>"), stop="length"))
    assert turn is not None
    assert (turn.stop, turn.error_code) == ("length", "unclosed_call")
    assert "Think in fewer words" in json.loads(turn.observation)["error"]
    assert episode.step(Reply(SEGMENT, stop="length")) is not None
    assert episode.trace.turns[-1].mask_id == 1
