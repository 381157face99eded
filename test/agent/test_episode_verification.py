"""Episodes with second looks: accepted, sent back, corrected, insisted on, and what breaks off in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from fakes import (
    ABSENT,
    FINISH,
    MALFORMED,
    NO,
    SEGMENT,
    SEGMENT_LEFT,
    YES,
    FakeConversation,
    FakePolicy,
    Slow,
    Step,
)
from verification_cases import ALMOST_MIDDLE, FINISH_2, FINISH_BOTH, begin, driven, verdicts

from rsagent_ros.agent.actions import Zoom, render
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive, drive_batch
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.agent.verification import REJECTED_FACTOR


def test_without_it_nothing_is_asked() -> None:
    episode, policy = driven([SEGMENT, FINISH], [NO], Budget(seconds=600.0))
    assert (episode.result.outcome, len(policy.heard), episode.trace.second_looks) == (Outcome.FOUND, 1, ())


def test_a_yes_accepts_the_answer() -> None:
    episode, policy = driven([SEGMENT, FINISH], [YES])
    result = episode.result
    assert (result.outcome, result.turns, result.confidence) == (Outcome.FOUND, 2, pytest.approx(0.9))
    assert verdicts(episode) == [[], [(1, "yes", 0)]]
    main, fresh = policy.heard
    assert main == [message for message in episode.messages if message.role != "assistant"]
    assert [message.role for message in fresh] == ["system", "user"]
    assert [picture.kind for picture in fresh[1].pictures] == ["view", "overlay"]


def test_a_no_sends_the_answer_back_and_is_told() -> None:
    episode, _ = driven([SEGMENT, FINISH, SEGMENT_LEFT, FINISH_2], [NO, YES])
    assert episode.result.outcome is Outcome.FOUND
    assert [found.mask_id for found in episode.result.instances] == [2]
    assert episode.result.confidence == pytest.approx(0.9)
    assert verdicts(episode) == [[], [(1, "no", 0)], [], [(2, "yes", 0)]]
    refused = episode.trace.turns[1]
    assert (refused.tool, refused.error_code) == ("finish", "second_look")
    assert "mask 1: it is a plate" in refused.observation
    assert '"turns_left": 6' in refused.observation
    assert refused.picture is None


def test_the_policy_may_take_the_answer_back() -> None:
    episode, _ = driven([SEGMENT, FINISH, ABSENT], [NO])
    assert (episode.result.outcome, episode.result.turns) == (Outcome.NOT_IN_VIEW, 3)


def test_who_insists_is_not_asked_again_but_is_trusted_less() -> None:
    episode, policy = driven([SEGMENT, FINISH, FINISH], [NO])
    assert episode.result.outcome is Outcome.FOUND
    assert episode.result.confidence == pytest.approx(0.9 * REJECTED_FACTOR)
    assert episode.trace.confidences == (pytest.approx(0.9 * REJECTED_FACTOR),)
    assert episode.trace.trust(1) == REJECTED_FACTOR
    assert len(policy.heard) == 2
    assert verdicts(episode) == [[], [(1, "no", 0)], []]


def test_drawing_the_same_mask_again_is_insisting() -> None:
    episode, policy = driven([SEGMENT, FINISH, ALMOST_MIDDLE, FINISH_2], [NO])
    assert len(policy.heard) == 2
    assert verdicts(episode) == [[], [(1, "no", 0)], [], [(2, "no", 1)]]
    assert episode.trace.turns[-1].second_looks[0].reason == "it is a plate"
    assert episode.result.confidence == pytest.approx(0.9 * REJECTED_FACTOR)


@pytest.mark.parametrize(
    ("look", "verdict", "reason"),
    [
        (MALFORMED, "unreadable", "no_call"),
        (SEGMENT, "unreadable", "the reply calls segment"),
        (ValueError("a fault"), "failed", "fake_policy: ValueError: a fault"),
        (MemoryError(), "failed", "fake_policy: out of memory"),
        (RunFailed(ErrorCode.CONTEXT_TOO_LONG, "too long"), "failed", "too long"),
        (Reply(NO, "deadline"), "unreadable", "the reply was broken off"),
    ],
)
def test_without_an_opinion_the_answer_stands(look: Step, verdict: str, reason: str) -> None:
    episode, policy = driven([SEGMENT, FINISH], [look])
    assert (episode.result.outcome, episode.result.error_code) == (Outcome.FOUND, ErrorCode.NONE)
    assert episode.result.confidence == pytest.approx(0.9)
    (noted,) = episode.trace.second_looks
    assert noted.verdict == verdict
    assert noted.reason.startswith(reason)
    assert len(policy.heard) == 2


def test_a_conversation_that_cannot_be_opened_or_talks_rubbish_is_no_opinion() -> None:
    class Full(FakePolicy):
        def open(self) -> FakeConversation:
            if self.heard:
                raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, "no room for a second one")
            return super().open()

    class Rubbish(FakePolicy):
        def open(self) -> FakeConversation:
            conversation = super().open()
            if len(self.heard) > 1:
                conversation.reply = lambda *_, **__: None  # type: ignore[assignment, method-assign]
            return conversation

    for policy in (Full(), Rubbish()):
        episode = begin()
        assert drive(episode, policy).outcome is Outcome.FOUND
        assert [look.verdict for look in episode.trace.second_looks] == ["failed"]


def test_a_crop_that_cannot_be_drawn_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("rsagent_ros.agent.pending_answer.verification_messages", full)
    episode, _ = driven([SEGMENT, FINISH], [NO])
    assert episode.result.outcome is Outcome.FOUND
    assert [(look.verdict, look.reason) for look in episode.trace.second_looks] == [
        ("failed", "fake_policy: out of memory")
    ]


def test_the_first_mistake_is_not_a_second_look() -> None:
    """A `finish` that can't be carried out is told as ever, and asks nobody."""
    episode, policy = driven([FINISH, SEGMENT, FINISH], [YES])
    assert [turn.error_code for turn in episode.trace.turns] == ["unknown_mask", "", ""]
    assert len(policy.heard) == 2


# --- several masks


def test_each_mask_of_an_answer_is_looked_at_once() -> None:
    episode, policy = driven([SEGMENT, SEGMENT_LEFT, FINISH_BOTH, FINISH], [YES, NO])
    assert verdicts(episode) == [[], [], [(1, "yes", 0), (2, "no", 0)], []]
    assert "mask 2: it is a plate" in episode.trace.turns[2].error_msg
    assert "mask 1" not in episode.trace.turns[2].error_msg
    assert [found.mask_id for found in episode.result.instances] == [1]
    assert episode.result.confidence == pytest.approx(0.9)
    assert len(policy.heard) == 3
    crops = [heard[1].pictures[0].pixels.shape for heard in policy.heard[1:]]
    assert crops[0] != crops[1]


def test_insisting_on_several_doubts_only_what_was_doubted() -> None:
    episode, _ = driven([SEGMENT, SEGMENT_LEFT, FINISH_BOTH], [YES, NO])
    assert [found.confidence for found in episode.result.instances] == [pytest.approx(0.9), pytest.approx(0.45)]
    assert episode.result.confidence == pytest.approx(0.45)


# --- views


def test_the_crop_follows_the_mask_whatever_the_policy_looks_at() -> None:
    zoom = render(Zoom(Box(500, 500, 1000, 1000)))
    episode, _ = driven([zoom, SEGMENT, FINISH], [YES])
    (look,) = episode.trace.second_looks
    box = episode.result.instances[0].box
    assert (box.x0, box.y0, box.x1, box.y1) == (100, 75, 140, 105)
    assert look.view == (80, 55, 160, 120)


# --- turns and batches


def test_the_turn_is_told_once_and_whole() -> None:
    turns: list[Turn] = []
    episode = begin()
    drive(episode, FakePolicy([SEGMENT, FINISH, FINISH], looks=[NO]), on_turn=turns.append)
    assert tuple(turns) == episode.trace.turns


def test_its_seconds_are_measured_and_are_not_the_tool_s() -> None:
    episode = begin()
    drive(episode, FakePolicy(looks=[Slow(0.2, YES)]))
    (look,) = episode.trace.second_looks
    assert look.reply_seconds >= 0.2
    assert episode.trace.turns[-1].tool_seconds < look.reply_seconds
    assert episode.result.policy_seconds >= 0.2


class BatchPolicy(FakePolicy):
    """Answers in one go; `rounds` holds how many, and how many of them were second looks."""

    def __init__(self, script: Sequence[Step], looks: Sequence[Step]) -> None:
        super().__init__(script, looks=looks)
        self.rounds: list[tuple[int, int]] = []

    def reply_batch(
        self,
        conversations: list[Conversation],
        new_messages: list[list[Message]],
        *,
        limits: list[ReplyLimits],
        cancel: CancelToken,
    ) -> list[Reply]:
        looks = sum("second_look" in new[-1].text for new in new_messages)
        self.rounds.append((len(conversations), looks))
        return [
            conversation.reply(new, limits=limit, cancel=cancel)
            for conversation, new, limit in zip(conversations, new_messages, limits, strict=True)
        ]


def test_many_in_lock_step_come_to_the_same_as_one_by_one() -> None:
    script = [SEGMENT, SEGMENT_LEFT, FINISH_BOTH, FINISH]
    alone, _ = driven(script, [NO])
    policy = BatchPolicy(script, [NO])
    plain, together = begin(Budget(seconds=600.0)), [begin(), begin()]
    drive_batch([*together, plain], policy)
    assert policy.open_conversations == 0
    assert policy.rounds == [(3, 0), (3, 0), (3, 0), (2, 2), (2, 2), (2, 0)]
    assert plain.result.turns == 3
    for episode in together:
        assert verdicts(episode) == verdicts(alone)
        assert episode.result.confidence == alone.result.confidence
        assert [turn.observation for turn in episode.trace.turns] == [turn.observation for turn in alone.trace.turns]


def test_a_batch_of_second_looks_that_fails_costs_no_answer() -> None:
    policy = BatchPolicy([SEGMENT, FINISH], [ValueError("a fault")])
    results = drive_batch([begin(), begin()], policy)
    assert [result.outcome for result in results] == [Outcome.FOUND] * 2
    assert policy.open_conversations == 0


# --- older records


def test_a_trace_from_before_second_looks_is_read() -> None:
    episode, _ = driven([SEGMENT, FINISH], [YES], Budget(seconds=600.0))
    now = episode.trace.to_json()
    before = now.replace(',"second_looks":[]', "")
    assert before != now
    assert Trace.from_json(before) == episode.trace


def test_a_second_look_out_of_the_frame_is_refused() -> None:
    episode, _ = driven([SEGMENT, FINISH], [YES])
    turn = episode.trace.turns[-1]
    wrong = replace(turn, second_looks=(replace(turn.second_looks[0], view=(0, 0, 161, 120)),))
    text = replace(episode.trace, turns=(episode.trace.turns[0], wrong)).to_json()
    with pytest.raises(ValueError, match=r"view \(0, 0, 161, 120\) is not in the frame"):
        Trace.from_json(text)
