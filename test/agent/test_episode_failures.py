"""Segmenters that raise, break their contract or give rubbish: the goal ends as FAILED, with the best mask so far."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fakes import SEGMENT, ZOOM, FakeSegmenter, SegmenterFault
from numpy.typing import NDArray

from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed, ToolFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.agent.turn import Trace, Turn

FRAME = np.zeros((400, 800, 3), dtype=np.uint8)


def begin(segmenter: FakeSegmenter) -> Episode:
    return Episode(FRAME, "the mug", segmenter)


def say(episode: Episode, *replies: str) -> Turn:
    """Step through the replies; returns the last turn."""
    for reply in replies:
        turn = episode.step(Reply(reply))
    assert turn is not None
    return turn


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Broken(FakeSegmenter):
    """Raises in `encode` or in `masks`, from its second prompt on."""

    def __init__(self, error: BaseException, where: str = "masks") -> None:
        super().__init__()
        self.error = error
        self.where = where

    def encode(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        if self.where == "encode" and self.encoded:
            raise self.error
        return super().encode(image)

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        if self.where == "masks" and self.prompts:
            raise self.error
        return super().masks(encoding, prompt)


@pytest.mark.parametrize("where", ["encode", "masks"])
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RunFailed(ErrorCode.MODEL_UNAVAILABLE, "not loaded"), ErrorCode.MODEL_UNAVAILABLE, "not loaded"),
        (RunFailed(ErrorCode.OUT_OF_MEMORY, "\ud800"), ErrorCode.OUT_OF_MEMORY, "?"),
        (MemoryError(), ErrorCode.OUT_OF_MEMORY, "out of memory while a tool ran; use a smaller image"),
        (ValueError("a\nb"), ErrorCode.SEGMENTER_FAILED, "fake_segmenter: ValueError: a b"),
        (RecursionError(), ErrorCode.SEGMENTER_FAILED, "fake_segmenter: RecursionError"),
        (StopIteration(), ErrorCode.SEGMENTER_FAILED, "fake_segmenter: StopIteration"),
        (ExceptionGroup("two", [ValueError()]), ErrorCode.SEGMENTER_FAILED, "two (1 sub-exception)"),
        (OSError(2, "gone", "\udcff"), ErrorCode.SEGMENTER_FAILED, "gone"),
        (Mute(), ErrorCode.SEGMENTER_FAILED, "str() failed"),
    ],
)
def test_segmenter_that_raises_fails_the_goal_with_the_best_so_far(
    where: str, error: Exception, code: ErrorCode, message: str
) -> None:
    episode = begin(Broken(error, where))
    turn = say(episode, SEGMENT, ZOOM, SEGMENT)
    result = episode.result
    assert (result.outcome, result.error_code) == (Outcome.FAILED, code)
    assert message in result.error_msg
    assert [found.mask_id for found in result.instances] == [1]
    assert result.partial
    assert (turn.tool, turn.mask_id, turn.observation) == ("segment", 0, "")
    assert Trace.from_json(episode.trace.to_json()) == episode.trace
    assert (episode.trace.error_code, episode.trace.partial) == (code, True)


def test_interrupt_is_not_taken_for_a_failure() -> None:
    episode = begin(Broken(KeyboardInterrupt()))
    say(episode, SEGMENT)
    with pytest.raises(KeyboardInterrupt):
        say(episode, SEGMENT)
    assert not episode.done


def test_segmenter_may_say_that_it_has_nothing_to_give() -> None:
    episode = begin(Broken(ToolFailed("too_small", "The box is too small for me.")))
    turn = say(episode, SEGMENT, SEGMENT)
    assert turn.error_code == "too_small"
    assert json.loads(turn.observation)["error"] == "The box is too small for me."


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("wrong_shape", ErrorCode.SEGMENTER_FAILED),
        ("wrong_dtype", ErrorCode.SEGMENTER_FAILED),
        ("raises", ErrorCode.SEGMENTER_FAILED),
        ("memory_error", ErrorCode.OUT_OF_MEMORY),
        ("out_of_memory", ErrorCode.OUT_OF_MEMORY),
    ],
)
def test_broken_contract_fails_the_goal(fault: SegmenterFault, code: ErrorCode) -> None:
    episode = begin(FakeSegmenter(fault))
    say(episode, SEGMENT)
    result = episode.result
    assert (result.outcome, result.error_code, result.partial) == (Outcome.FAILED, code, False)
    assert result.error_msg


MASK = np.ones((400, 800), dtype=np.bool_)
LOGITS = np.zeros((4, 4), dtype=np.float32)


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        7,
        [None],
        ["mask"],
        [Candidate([[True]], 0.9, LOGITS)],  # type: ignore[arg-type]
        [Candidate(MASK, None, LOGITS)],  # type: ignore[arg-type]
        [Candidate(MASK, "high", LOGITS)],  # type: ignore[arg-type]
        [Candidate(MASK, 0.9, None)],  # type: ignore[arg-type]
        [Candidate(MASK, np.array([0.9, 0.8]), LOGITS)],  # type: ignore[arg-type]
    ],
)
def test_rubbish_from_a_segmenter_fails_the_goal(rubbish: Any) -> None:
    class Rubbish(FakeSegmenter):
        def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
            answer: list[Candidate] = rubbish
            return answer

    episode = begin(Rubbish())
    say(episode, SEGMENT)
    assert (episode.result.outcome, episode.result.error_code) == (Outcome.FAILED, ErrorCode.SEGMENTER_FAILED)
