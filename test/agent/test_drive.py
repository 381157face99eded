"""The two ways to run an episode: both end every episode, whatever the policy does, and both come to the same."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from fakes import (
    ABSENT,
    AMBIGUOUS,
    FINISH,
    MALFORMED,
    POLICY_SCRIPTS,
    SEGMENT,
    SEGMENT_LEFT,
    ZOOM,
    FakeConversation,
    FakePolicy,
    FakeSegmenter,
    Hang,
    Slow,
    Step,
    content,
)

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive, drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.agent.turn import Turn

FRAME = np.zeros((40, 80, 3), dtype=np.uint8)


def begin(budget: Budget | None = None) -> Episode:
    return Episode(FRAME, "the mug", FakeSegmenter(), budget)


def said(episode: Episode) -> list[tuple[int, str, str, str, int]]:
    return [(turn.index, turn.reply, turn.observation, turn.error_code, turn.mask_id) for turn in episode.trace.turns]


# --- one


def test_policy_hears_every_message_once_and_is_closed() -> None:
    policy, episode = FakePolicy([ZOOM, MALFORMED, SEGMENT, FINISH]), begin()
    turns: list[Turn] = []
    result = drive(episode, policy, on_turn=turns.append)
    assert result is episode.result
    assert result.outcome is Outcome.FOUND
    assert policy.heard == [[message for message in episode.messages if message.role != "assistant"]]
    assert tuple(turns) == episode.trace.turns
    assert policy.open_conversations == 0


@pytest.mark.parametrize(
    ("script", "outcome", "code", "turns"),
    [
        ("instant", Outcome.FOUND, ErrorCode.NONE, 2),
        ("absent", Outcome.NOT_IN_VIEW, ErrorCode.NONE, 1),
        ("ambiguous", Outcome.AMBIGUOUS, ErrorCode.NONE, 3),
        ("malformed", Outcome.FOUND, ErrorCode.NONE, 5),
        ("never_ends", Outcome.GAVE_UP, ErrorCode.TURNS_SPENT, 8),
        ("raises", Outcome.FAILED, ErrorCode.POLICY_FAILED, 1),
        ("out_of_memory", Outcome.FAILED, ErrorCode.OUT_OF_MEMORY, 1),
        ("memory_error", Outcome.FAILED, ErrorCode.OUT_OF_MEMORY, 0),
    ],
)
def test_every_script_comes_to_its_end(script: str, outcome: Outcome, code: ErrorCode, turns: int) -> None:
    policy = FakePolicy(POLICY_SCRIPTS[script])
    result = drive(begin(), policy)
    assert (result.outcome, result.error_code, result.turns) == (outcome, code, turns)
    assert bool(result.error_msg) == (code != ErrorCode.NONE)
    assert policy.open_conversations == 0


def test_policy_s_error_is_told_with_the_best_mask_so_far() -> None:
    result = drive(begin(), FakePolicy([SEGMENT, ValueError("a\nb")]))
    assert result.error_msg == "fake_policy: ValueError: a b"
    assert ([found.mask_id for found in result.instances], result.partial) == ([1], True)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RunFailed(ErrorCode.CONTEXT_TOO_LONG, "too long"), ErrorCode.CONTEXT_TOO_LONG, "too long"),
        (MemoryError(), ErrorCode.OUT_OF_MEMORY, "fake_policy: out of memory"),
        (TimeoutError(), ErrorCode.POLICY_FAILED, "fake_policy: TimeoutError"),
        (ValueError("\ud800"), ErrorCode.POLICY_FAILED, "fake_policy: ValueError: ?"),
    ],
)
def test_conversation_that_cannot_begin_fails_the_goal(error: Exception, code: ErrorCode, message: str) -> None:
    class Closed(FakePolicy):
        def open(self) -> FakeConversation:
            raise error

    result = drive(begin(), Closed())
    assert (result.outcome, result.error_code, result.error_msg) == (Outcome.FAILED, code, message)


def test_rubbish_from_a_policy_fails_the_goal() -> None:
    class Rubbish(FakePolicy):
        def open(self) -> FakeConversation:
            conversation = super().open()
            conversation.reply = lambda *_, **__: None  # type: ignore[assignment, method-assign]
            return conversation

    result = drive(begin(), policy := Rubbish())
    assert (result.outcome, result.error_code) == (Outcome.FAILED, ErrorCode.POLICY_FAILED)
    assert policy.open_conversations == 0


def test_error_while_closing_does_not_undo_the_result() -> None:
    class Sticky(FakePolicy):
        def open(self) -> FakeConversation:
            conversation = super().open()
            conversation.close = lambda: 1 / 0  # type: ignore[assignment, method-assign]
            return conversation

    assert drive(begin(), Sticky()).outcome is Outcome.FOUND


def test_error_of_the_watcher_fails_the_goal() -> None:
    def watch(turn: Turn) -> None:
        raise ValueError("nobody listens")

    result = drive(begin(), policy := FakePolicy(), on_turn=watch)
    assert (result.outcome, result.turns) == (Outcome.FAILED, 1)
    assert "nobody listens" in result.error_msg
    assert policy.open_conversations == 0


def test_interrupt_goes_through_and_closes_the_conversation() -> None:
    def watch(turn: Turn) -> None:
        raise KeyboardInterrupt

    episode, policy = begin(), FakePolicy()
    with pytest.raises(KeyboardInterrupt):
        drive(episode, policy, on_turn=watch)
    assert not episode.done
    assert policy.open_conversations == 0


def test_raised_flag_breaks_off_the_reply() -> None:
    cancel = CancelToken()
    cancel.set()
    result = drive(begin(), FakePolicy([SEGMENT, Slow(60)]), cancel)
    assert (result.outcome, result.turns, result.partial) == (Outcome.CANCELED, 2, True)


def test_hanging_policy_is_not_waited_for() -> None:
    policy, episode = FakePolicy([SEGMENT, Hang()]), begin()
    first = threading.Event()
    results: list[Result] = []
    worker = threading.Thread(target=lambda: results.append(drive(episode, policy, on_turn=lambda _: first.set())))
    worker.start()
    assert first.wait(60)
    result = episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT, "the policy hangs")
    assert worker.is_alive()
    assert ([found.mask_id for found in result.instances], result.turns) == ([1], 1)
    policy.release.set()
    worker.join(60)
    assert results == [result]
    assert len(episode.trace.turns) == 1
    assert policy.open_conversations == 0


# --- many


class FakeBatchPolicy(FakePolicy):
    """Answers in one go; `rounds` holds how many it answered in each."""

    def __init__(self, script: Sequence[Step] = POLICY_SCRIPTS["instant"]) -> None:
        super().__init__(script)
        self.rounds: list[int] = []

    def reply_batch(
        self,
        conversations: list[Conversation],
        new_messages: list[list[Message]],
        *,
        limits: list[ReplyLimits],
        cancel: CancelToken,
    ) -> list[Reply]:
        self.rounds.append(len(conversations))
        return [
            conversation.reply(new, limits=limit, cancel=cancel)
            for conversation, new, limit in zip(conversations, new_messages, limits, strict=True)
        ]


def test_lock_step_comes_to_the_same_as_one_by_one() -> None:
    script = [SEGMENT, MALFORMED, SEGMENT_LEFT, AMBIGUOUS]
    budgets = [Budget(max_turns=1), Budget(), Budget(max_turns=2), Budget(max_turns=4)]
    alone, together = [begin(budget) for budget in budgets], [begin(budget) for budget in budgets]
    apart = [drive(episode, FakePolicy(script)) for episode in alone]
    policy = FakeBatchPolicy(script)
    results = drive_batch(together, policy)
    assert results == [episode.result for episode in together]
    assert policy.rounds == [4, 3, 2, 2]
    assert policy.open_conversations == 0
    for one, other, lone, batched in zip(apart, results, alone, together, strict=True):
        assert (one.outcome, one.error_code, one.turns) == (other.outcome, other.error_code, other.turns)
        assert said(lone) == said(batched)
        assert content(lone.messages) == content(batched.messages)
    for heard, episode in zip(policy.heard, together, strict=True):
        assert heard == [message for message in episode.messages if message.role != "assistant"]


def test_batch_of_none_and_of_the_already_done() -> None:
    policy = FakeBatchPolicy([ABSENT])
    assert drive_batch([], policy) == []
    done, fresh = begin(), begin()
    stopped = done.stop(Outcome.CANCELED)
    results = drive_batch([done, fresh], policy)
    assert results[0] is stopped
    assert results[1].outcome is Outcome.NOT_IN_VIEW
    assert policy.rounds == [1]


def test_episode_stopped_in_between_leaves_the_batch() -> None:
    episodes = [begin(), begin()]

    class Stops(FakeBatchPolicy):
        def reply_batch(
            self,
            conversations: list[Conversation],
            new_messages: list[list[Message]],
            *,
            limits: list[ReplyLimits],
            cancel: CancelToken,
        ) -> list[Reply]:
            episodes[0].stop(Outcome.CANCELED)
            return super().reply_batch(conversations, new_messages, limits=limits, cancel=cancel)

    policy = Stops()
    assert [result.outcome for result in drive_batch(episodes, policy)] == [Outcome.CANCELED, Outcome.FOUND]
    assert policy.rounds == [2, 1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("a"), ErrorCode.POLICY_FAILED),
        (MemoryError(), ErrorCode.OUT_OF_MEMORY),
        (RunFailed(ErrorCode.MODEL_UNAVAILABLE, "away"), ErrorCode.MODEL_UNAVAILABLE),
    ],
)
def test_error_of_a_batch_fails_all_that_are_open(error: Exception, code: ErrorCode) -> None:
    episodes = [begin(Budget(max_turns=1)), begin(), begin()]
    policy = FakeBatchPolicy([SEGMENT, error])
    results = drive_batch(episodes, policy)
    assert [result.outcome for result in results] == [Outcome.GAVE_UP, Outcome.FAILED, Outcome.FAILED]
    assert {result.error_code for result in results[1:]} == {code}
    assert all(result.partial for result in results)
    assert policy.open_conversations == 0


def test_too_few_replies_fail_the_batch() -> None:
    class Short(FakeBatchPolicy):
        def reply_batch(
            self,
            conversations: list[Conversation],
            new_messages: list[list[Message]],
            *,
            limits: list[ReplyLimits],
            cancel: CancelToken,
        ) -> list[Reply]:
            return super().reply_batch(conversations[:1], new_messages[:1], limits=limits[:1], cancel=cancel)

    results = drive_batch([begin(), begin()], Short())
    assert [result.error_code for result in results] == [ErrorCode.POLICY_FAILED] * 2


def test_conversations_that_were_opened_are_closed_when_the_next_cannot_be() -> None:
    class Full(FakeBatchPolicy):
        def open(self) -> FakeConversation:
            if self.open_conversations == 2:
                raise RunFailed(ErrorCode.OUT_OF_MEMORY, "no room for a third")
            return super().open()

    policy = Full()
    results = drive_batch([begin(), begin(), begin()], policy)
    assert [result.error_msg for result in results] == ["no room for a third"] * 3
    assert policy.open_conversations == 0
