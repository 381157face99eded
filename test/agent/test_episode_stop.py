"""Stopping from another thread: the result is there at once, there is one only, and what comes late is discarded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from fakes import FINISH, SEGMENT, SEGMENT_LEFT, ZOOM, FakeSegmenter
from numpy.typing import NDArray

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.agent.turn import Trace, Turn

FRAME = np.zeros((40, 80, 3), dtype=np.uint8)


class HangsLater(FakeSegmenter):
    """Hangs from its second prompt on; `entered` says that it does. Then gives an answer or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.error = error

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        if self.prompts:
            self.entered.set()
            assert self.release.wait(60)
            if self.error is not None:
                raise self.error
        return super().masks(encoding, prompt)


@contextmanager
def hanging_step(episode: Episode, segmenter: HangsLater, text: str) -> Iterator[list[Turn | None]]:
    """A step that hangs in its tool while the block runs; its outcome is in the list afterwards."""
    outcome: list[Turn | None] = []
    thread = threading.Thread(target=lambda: outcome.append(episode.step(Reply(text))))
    thread.start()
    try:
        assert segmenter.entered.wait(60)
        yield outcome
    finally:
        segmenter.release.set()
        thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("error", [None, ValueError("late"), MemoryError()])
def test_stop_does_not_wait_for_a_hanging_tool_and_discards_what_it_brings(error: Exception | None) -> None:
    segmenter = HangsLater(error)
    episode = Episode(FRAME, "the mug", segmenter)
    episode.step(Reply(SEGMENT))
    with hanging_step(episode, segmenter, SEGMENT_LEFT) as outcome:
        result = episode.stop(Outcome.PREEMPTED, ErrorCode.NONE, "a newer goal took its place")
        assert outcome == []
        assert episode.done
        trace, chat = episode.trace, episode.messages
    assert outcome == [None]
    assert (episode.result, episode.trace, episode.messages) == (result, trace, chat)
    assert (result.outcome, result.error_msg, result.turns) == (Outcome.PREEMPTED, "a newer goal took its place", 1)
    assert [found.mask_id for found in result.instances] == [1]
    assert result.partial
    assert len(trace.turns) == 1
    assert Trace.from_json(trace.to_json()) == trace


def test_stop_while_a_view_is_encoded() -> None:
    class Hangs(HangsLater):
        def encode(self, image: NDArray[np.uint8]) -> tuple[int, int]:
            if self.encoded:
                self.entered.set()
                assert self.release.wait(60)
            return super().encode(image)

    segmenter = Hangs()
    episode = Episode(FRAME, "the mug", segmenter)
    episode.step(Reply(SEGMENT))
    episode.step(Reply(ZOOM))
    with hanging_step(episode, segmenter, SEGMENT) as outcome:
        episode.stop(Outcome.SHUTDOWN)
    assert outcome == [None]
    assert (episode.result.outcome, len(episode.trace.turns)) == (Outcome.SHUTDOWN, 2)


def test_wait_wakes_when_the_episode_is_stopped() -> None:
    episode = Episode(FRAME, "the mug", FakeSegmenter())
    assert not episode.wait(0)
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(episode.wait(60)))
    thread.start()
    episode.stop(Outcome.CANCELED)
    thread.join(60)
    assert woken == [True]


def test_stop_before_the_first_turn_has_nothing_to_hand_over() -> None:
    result = Episode(FRAME, "the mug", FakeSegmenter()).stop(Outcome.FAILED, ErrorCode.NO_FRAME, "no frame")
    assert (result.instances, result.partial, result.turns) == ((), False, 0)
    assert (result.outcome, result.error_code, result.error_msg) == (Outcome.FAILED, ErrorCode.NO_FRAME, "no frame")


def test_stop_after_the_policy_s_own_end_changes_nothing() -> None:
    episode = Episode(FRAME, "the mug", FakeSegmenter())
    episode.step(Reply(SEGMENT))
    episode.step(Reply(FINISH))
    assert episode.stop(Outcome.CANCELED).outcome is Outcome.FOUND


def race(*runners: object) -> None:
    """Start everything at the same moment, and wait for all."""
    gate = threading.Barrier(len(runners))

    def go(runner: object) -> None:
        gate.wait(60)
        assert callable(runner)
        runner()

    threads = [threading.Thread(target=go, args=(runner,)) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_of_50_stops_the_first_wins_and_all_get_its_result() -> None:
    codes = list(ErrorCode)
    for _ in range(20):
        episode = Episode(FRAME, "the mug", FakeSegmenter())
        episode.step(Reply(SEGMENT))
        results: list[Result] = []

        def stop(number: int, episode: Episode = episode, results: list[Result] = results) -> None:
            results.append(episode.stop(Outcome.FAILED, codes[number % len(codes)], f"{number}"))

        race(*[lambda number=number: stop(number) for number in range(50)])
        assert len(results) == 50
        assert all(result is results[0] for result in results)
        assert episode.result is results[0]
        assert episode.trace.error_msg == results[0].error_msg


def test_stop_and_last_step_at_once_end_it_once() -> None:
    ends = set()
    for number in range(200):
        episode = Episode(FRAME, "the mug", FakeSegmenter(), Budget(max_turns=2))
        episode.step(Reply(SEGMENT))
        late: list[Turn | None] = []
        stopped: list[Result] = []

        def step(episode: Episode = episode, late: list[Turn | None] = late) -> None:
            late.append(episode.step(Reply(FINISH)))

        def stop(episode: Episode = episode, stopped: list[Result] = stopped, pause: float = number * 2e-6) -> None:
            time.sleep(pause)
            stopped.append(episode.stop(Outcome.CANCELED))

        race(step, stop)
        result = episode.result
        assert stopped == [result]
        assert (late[0] is None) == (result.outcome is Outcome.CANCELED)
        assert len(episode.trace.turns) == result.turns == (1 if late[0] is None else 2)
        assert episode.trace.outcome is result.outcome
        ends.add(result.outcome)
    assert ends <= {Outcome.FOUND, Outcome.CANCELED}
