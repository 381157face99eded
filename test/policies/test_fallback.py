from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import (
    ABSENT,
    FINISH,
    MALFORMED,
    SEGMENT,
    SEGMENT_LEFT,
    ZOOM,
    FakeConversation,
    FakePolicy,
    FakeSegmenter,
    Step,
)

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.policies.fallback import FallbackPolicy
from rsagent_ros.policies.family import QWEN2_5_VL, QWEN3_VL

FOREVER = 60.0
LOST = RunFailed(ErrorCode.MODEL_UNAVAILABLE, "the server is away")


class Named(FakePolicy):
    """A fake with a name and pictures of its own."""

    def __init__(self, name: str, script: Sequence[Step], pictures: PictureFormat | None = None) -> None:
        super().__init__(script)
        self.name = name
        self.pictures = PictureFormat() if pictures is None else pictures


@dataclass
class Health:
    """A check that fails until it is told otherwise; `asked` is set by each call."""

    error: Exception | None = LOST
    asked: threading.Event = field(default_factory=threading.Event)
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1
        self.asked.set()
        if self.error is not None:
            raise self.error


def goal(policy: FallbackPolicy) -> tuple[Result, Episode]:
    frame = np.full((480, 640, 3), 90, dtype=np.uint8)
    episode = Episode(frame, "the red mug", FakeSegmenter(), Budget(seconds=FOREVER))
    return drive(episode, policy), episode


def until(what: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    tick = threading.Event()
    for _ in range(int(FOREVER / 0.01)):
        if what():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


def make(primary: Sequence[Step], fallback: Sequence[Step], health: Health | None = None) -> tuple[Any, ...]:
    first, second = Named("first", primary), Named("second", fallback)
    return FallbackPolicy(first, second, health or Health(), recheck_seconds=0.01), first, second


def test_as_long_as_all_is_well_the_fallback_is_not_asked() -> None:
    policy, first, second = make([SEGMENT, FINISH], [ABSENT])
    result, _ = goal(policy)
    assert (result.outcome, result.degraded) == (Outcome.FOUND, False)
    assert (policy.name, policy.status.lost, second.heard) == ("first or second", False, [])
    assert first.open_conversations == 0


def test_a_policy_lost_in_the_middle_is_replaced_by_one_that_hears_the_whole_chat() -> None:
    policy, first, second = make([SEGMENT, ZOOM, LOST], [SEGMENT_LEFT, FINISH])
    result, episode = goal(policy)
    assert (result.outcome, result.degraded, result.turns) == (Outcome.FOUND, True, 4)
    assert [turn.degraded for turn in episode.trace.turns] == [False, False, True, True]
    heard = second.heard[0]
    assert [message.role for message in heard[:6]] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [message.text for message in heard if message.role == "assistant"] == [SEGMENT, ZOOM]
    assert heard == [message for message in episode.messages if message.text not in (SEGMENT_LEFT, FINISH)]
    assert first.open_conversations == second.open_conversations == 0
    policy.close()


def test_while_it_is_lost_new_goals_go_to_the_fallback_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    policy, first, _ = make([LOST], [ABSENT])
    assert [goal(policy)[0].degraded for _ in range(3)] == [True] * 3
    assert len(first.heard) == 1
    assert (policy.status.lost, policy.status.reason, policy.status.degraded_replies) == (True, LOST.message, 3)
    assert [record.message for record in caplog.records] == ["going on with second: the server is away"]
    policy.close()


def test_it_comes_back_for_new_goals_once_its_check_passes() -> None:
    health = Health()
    policy, first, _ = make([LOST], [ABSENT], health)
    assert goal(policy)[0].degraded
    assert health.asked.wait(FOREVER)
    first.script = [SEGMENT, FINISH]
    health.error = None
    until(lambda: not policy.status.lost)
    assert policy.status.reason == ""
    result, _ = goal(policy)
    assert (result.outcome, result.degraded) == (Outcome.FOUND, False)
    calls = health.calls
    assert goal(policy)[0].degraded is False
    assert health.calls == calls


def test_a_goal_that_has_begun_stays_with_its_fallback() -> None:
    health = Health(error=None)
    policy, _, second = make([SEGMENT, LOST], [ZOOM, FINISH], health)
    back = threading.Event()
    reply = FakeConversation.reply

    def waits(self: FakeConversation, *arguments: Any, **named: Any) -> Any:
        if self._policy is second and not back.is_set():
            until(lambda: not policy.status.lost)
            back.set()
        return reply(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeConversation, "reply", waits)
        result, episode = goal(policy)
    assert result.outcome is Outcome.FOUND
    assert [turn.degraded for turn in episode.trace.turns] == [False, True, True]


def test_it_can_be_lost_again() -> None:
    health = Health(error=None)
    policy, first, _ = make([LOST], [ABSENT], health)
    for _ in range(2):
        assert goal(policy)[0].degraded
        until(lambda: not policy.status.lost)
    assert len(first.heard) == 2


def test_a_check_that_raises_anything_means_not_yet() -> None:
    health = Health(error=ValueError("no such thing"))
    policy, _, _ = make([LOST], [ABSENT], health)
    goal(policy)
    until(lambda: policy.status.reason == "ValueError: no such thing")
    assert policy.status.lost
    policy.close()


def test_a_policy_that_can_not_even_begin_is_lost() -> None:
    policy, first, _ = make([SEGMENT], [ABSENT])
    first.open = lambda: (_ for _ in ()).throw(LOST)
    assert goal(policy)[0].degraded
    policy.close()


@pytest.mark.parametrize("code", [ErrorCode.CONTEXT_TOO_LONG, ErrorCode.OUT_OF_MEMORY, ErrorCode.POLICY_FAILED])
def test_other_failures_end_the_goal_as_they_would_without_a_fallback(code: ErrorCode) -> None:
    policy, _, second = make([SEGMENT, RunFailed(code, "for this goal alone")], [ABSENT])
    result, _ = goal(policy)
    assert (result.outcome, result.error_code, result.degraded) == (Outcome.FAILED, code, False)
    assert (policy.status.lost, second.heard) == (False, [])


def test_a_fallback_that_is_lost_too_ends_the_goal_with_the_best_mask() -> None:
    policy, _, _ = make([SEGMENT, LOST], [LOST])
    result, _ = goal(policy)
    assert (result.outcome, result.error_code, result.partial) == (Outcome.FAILED, ErrorCode.MODEL_UNAVAILABLE, True)
    policy.close()


def test_two_that_read_different_coordinates_are_not_put_together() -> None:
    first = Named("first", [ABSENT], QWEN2_5_VL.pictures())
    with pytest.raises(ValueError, match=r"second can't take over from first: .*thousandths.* drawn as .*pixels"):
        FallbackPolicy(first, Named("second", [ABSENT]), Health())


def test_pictures_are_drawn_for_the_first_where_the_second_takes_them_too() -> None:
    first = Named("first", [ABSENT], QWEN3_VL.pictures())
    assert FallbackPolicy(first, Named("second", [ABSENT]), Health()).pictures == QWEN3_VL.pictures()
    with pytest.raises(ValueError, match="can't take over"):
        FallbackPolicy(Named("second", [ABSENT]), first, Health())


@pytest.mark.parametrize("before", [[], [SEGMENT], [ZOOM], [SEGMENT, ZOOM, SEGMENT_LEFT], [MALFORMED]])
def test_the_embedded_policy_finds_the_thing_wherever_it_takes_over(before: list[Step]) -> None:
    class Reference(ReferencePolicy):
        pictures = PictureFormat()

    frame = np.full((480, 640, 3), 200, dtype=np.uint8)
    cv2.circle(frame, (200, 240), 60, (220, 30, 30), -1)
    episode = Episode(frame, "the red circle", ClassicalSegmenter(), Budget(seconds=FOREVER))
    policy = FallbackPolicy(Named("first", [*before, LOST]), Reference(), Health())
    result = drive(episode, policy)
    policy.close()
    assert (result.outcome, result.degraded) == (Outcome.FOUND, True)
    mask = result.mask()
    assert mask is not None
    assert mask[240, 200]
    assert abs(int(mask.sum()) - 3.14 * 60**2) < 300
