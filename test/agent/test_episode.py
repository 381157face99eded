"""The episode: what each call does to chat, trace and result, and that just one end comes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes import ABSENT, FINISH, MALFORMED, SEGMENT, SEGMENT_LEFT, FakeSegmenter, content
from numpy.typing import NDArray

from rsagent_ros.agent.actions import (
    FIRST_TOOLS,
    Action,
    Cause,
    Combine,
    Finish,
    GiveUp,
    ReportAmbiguous,
    ResetView,
    Segment,
    Zoom,
    render,
)
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.goal_input import MAX_INSTRUCTION
from rsagent_ros.agent.mask import MAX_PIXELS
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.parsing import MAX_REPLY_CHARS
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.turn import Trace, Turn

FRAME = np.random.default_rng(0).integers(0, 256, (400, 800, 3), dtype=np.uint8)
MIDDLE = Box(250, 250, 750, 750)
LEFT = Box(0, 0, 500, 1000)


def begin(segmenter: FakeSegmenter | None = None, budget: Budget | None = None) -> Episode:
    return Episode(FRAME, "the mug", segmenter or FakeSegmenter(), budget)


def say(episode: Episode, *replies: str | Reply | Action) -> Turn:
    """Step through the replies; returns the last turn."""
    for reply in replies:
        text = reply if isinstance(reply, str | Reply) else f"<think>So.</think>{render(reply)}"
        turn = episode.step(text if isinstance(text, Reply) else Reply(text))
    assert turn is not None
    return turn


def told(episode: Episode) -> dict[str, Any]:
    """The last observation."""
    last = episode.messages[-1]
    assert last.role == "user"
    facts: dict[str, Any] = json.loads(last.text)
    return facts


# --- beginning


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), dtype=np.uint8),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((4, 4, 1), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((0, 4, 3), dtype=np.uint8),
        np.zeros((4, 0, 3), dtype=np.uint8),
        np.broadcast_to(np.uint8(0), (MAX_PIXELS + 1, 1, 3)),
    ],
)
def test_frame_that_cannot_be_looked_at_is_refused(frame: NDArray[np.uint8]) -> None:
    with pytest.raises(RunFailed, match="the image is") as caught:
        Episode(frame, "the mug", FakeSegmenter())
    assert caught.value.code == ErrorCode.BAD_IMAGE


@pytest.mark.parametrize("instruction", ["", " \n\t", "x" * (MAX_INSTRUCTION + 1)])
def test_instruction_that_says_nothing_or_too_much_is_refused(instruction: str) -> None:
    with pytest.raises(RunFailed, match=f"1 to {MAX_INSTRUCTION} are needed") as caught:
        Episode(FRAME, instruction, FakeSegmenter())
    assert caught.value.code == ErrorCode.INVALID_GOAL


def test_opening_shows_the_whole_frame_once() -> None:
    episode = Episode(FRAME, "  the mug\n", FakeSegmenter(), goal_id="7", policy_name="p", pictures=PictureFormat(200))
    assert [message.role for message in episode.messages] == ["system", "user"]
    assert told(episode) == {"instruction": "the mug", "image": [800, 400], "turns_left": 8}
    (picture,) = episode.messages[1].pictures
    assert (picture.kind, picture.pixels.shape) == ("view", (100, 200, 3))
    trace = episode.trace
    assert (trace.goal_id, trace.policy, trace.segmenter) == ("7", "p", "fake_segmenter")
    assert not episode.done


def test_instruction_is_made_of_what_a_record_can_hold() -> None:
    episode = Episode(FRAME, "the \ud83d mug", FakeSegmenter())
    assert episode.trace.instruction == "the ? mug"
    assert Trace.from_json(episode.trace.to_json()) == episode.trace


def test_result_is_not_there_before_the_end() -> None:
    with pytest.raises(RuntimeError, match="not done"):
        _ = begin().result


# --- ends by the policy's own call


def test_found() -> None:
    episode = begin()
    say(episode, SEGMENT, FINISH)
    assert episode.done
    assert episode.wait(0)
    result = episode.result
    assert (result.outcome, result.error_code, result.error_msg) == (Outcome.FOUND, ErrorCode.NONE, "")
    (found,) = result.instances
    assert (found.box, found.mask_id, found.confidence) == (Box(200, 100, 600, 300), 1, 0.9)
    assert (result.turns, result.partial, result.degraded, result.candidates) == (2, False, False, ())
    trace = episode.trace
    assert (trace.outcome, trace.instance_ids, trace.confidences) == (Outcome.FOUND, (1,), (0.9,))
    assert trace.seconds == result.total_seconds >= 0


def test_several_masks_may_be_what_was_asked_for() -> None:
    episode = begin()
    say(episode, Segment(LEFT), Segment(MIDDLE), Finish((2, 1)))
    result = episode.result
    assert [found.mask_id for found in result.instances] == [2, 1]
    joined = result.mask()
    assert joined is not None
    np.testing.assert_array_equal(joined, result.instances[0].mask | result.instances[1].mask)
    assert episode.trace.instance_ids == (2, 1)


def test_absent() -> None:
    episode = begin()
    say(episode, SEGMENT, ABSENT)
    result = episode.result
    assert (result.outcome, result.reason) == (Outcome.NOT_IN_VIEW, "there is nothing like it")
    assert (result.instances, result.partial, result.error_code) == ((), False, ErrorCode.NONE)
    assert episode.trace.reason == result.reason


def test_ambiguous() -> None:
    episode = begin()
    say(episode, SEGMENT, SEGMENT_LEFT, ReportAmbiguous((2, 1), "Which?"))
    result = episode.result
    assert (result.outcome, result.question, result.instances) == (Outcome.AMBIGUOUS, "Which?", ())
    assert [candidate.mask_id for candidate in result.candidates] == [2, 1]
    assert (episode.trace.candidate_ids, episode.trace.confidences) == ((2, 1), (0.9, 0.9))


@pytest.mark.parametrize(
    ("cause", "code"), [("not_understood", ErrorCode.NOT_UNDERSTOOD), ("unsure", ErrorCode.UNSURE)]
)
def test_give_up_keeps_its_reason_and_has_no_mask(cause: Cause, code: ErrorCode) -> None:
    episode = begin()
    say(episode, SEGMENT, GiveUp("I do not know a mug.", cause))
    result = episode.result
    assert (result.outcome, result.error_code, result.reason) == (Outcome.GAVE_UP, code, "I do not know a mug.")
    assert result.error_msg
    assert (result.partial, result.instances, result.candidates) == (False, (), ())
    trace = Trace.from_json(episode.trace.to_json())
    assert (trace.error_code, trace.reason, trace.confidences) == (code, "I do not know a mug.", ())


def test_give_up_offers_the_masks_that_it_names_and_the_surest_is_the_best_so_far() -> None:
    segmenter = FakeSegmenter(score=0.5)
    episode = begin(segmenter)
    say(episode, SEGMENT)
    segmenter.score = 0.8
    say(episode, SEGMENT_LEFT, GiveUp("One of these two, perhaps.", masks=(1, 2)))
    result = episode.result
    assert result.partial
    assert [candidate.mask_id for candidate in result.candidates] == [1, 2]
    assert [instance.mask_id for instance in result.instances] == [2]
    assert result.confidence == episode.trace.confidence(2) == 0.8
    assert (episode.trace.candidate_ids, episode.trace.instance_ids) == ((1, 2), (2,))


def test_a_chat_without_a_tool_neither_tells_of_it_nor_takes_it() -> None:
    episode = Episode(FRAME, "the mug", FakeSegmenter(), pictures=PictureFormat(tools=FIRST_TOOLS))
    assert "give_up" not in episode.messages[0].text
    assert episode.limits.tools == FIRST_TOOLS
    assert say(episode, GiveUp("I can't tell.")).error_code == "unknown_tool"
    assert Trace.from_json(episode.trace.to_json()).pictures.tools == FIRST_TOOLS


@pytest.mark.parametrize(
    "action", [Finish((2,)), Finish((1, 9)), ReportAmbiguous((1, 2), "Which?"), GiveUp("No.", masks=(2,))]
)
def test_end_with_a_mask_that_does_not_exist_is_no_end(action: Action) -> None:
    episode = begin()
    turn = say(episode, SEGMENT, action)
    assert turn.error_code == "unknown_mask"
    assert told(episode)["error"].startswith("There is no mask")
    assert not episode.done
    say(episode, FINISH)
    assert episode.result.outcome is Outcome.FOUND


def test_nothing_happens_after_the_end() -> None:
    episode = begin()
    say(episode, SEGMENT, FINISH)
    result, trace, chat = episode.result, episode.trace, episode.messages
    assert episode.step(Reply(SEGMENT)) is None
    assert episode.stop(Outcome.FAILED, ErrorCode.INTERNAL, "late") is result
    assert (episode.result, episode.trace, episode.messages) == (result, trace, chat)


# --- the chat


SCRIPT: list[str | Reply | Action] = [
    Segment(LEFT),
    Zoom(MIDDLE),
    "no call",
    Segment(refine=1, negative=(Point(1, 1),)),
    Combine((1,), (2,)),
    ResetView(),
    Reply("<think>cut", stop="length"),
    Finish((3,)),
]


def test_chat_only_grows_at_its_end() -> None:
    episode = begin()
    before = content(episode.messages)
    for reply in SCRIPT:
        say(episode, reply)
        after = content(episode.messages)
        assert after[: len(before)] == before
        assert len(after) > len(before)
        before = after


def test_new_messages_come_once_and_without_the_policy_s_own() -> None:
    episode = begin()
    given = episode.new_messages()
    for reply in SCRIPT:
        assert episode.new_messages() == []
        say(episode, reply)
        given += episode.new_messages()
    assert given == [message for message in episode.messages if message.role != "assistant"]


def test_each_reply_is_answered_but_the_last() -> None:
    episode = begin()
    say(episode, *SCRIPT)
    roles = [message.role for message in episode.messages]
    assert roles == ["system", "user", *["assistant", "user"] * 7, "assistant"]
    assert episode.trace.turns[-1].observation == ""
    left = [json.loads(turn.observation)["turns_left"] for turn in episode.trace.turns[:-1]]
    assert left == [7, 6, 5, 4, 3, 2, 1]


def test_turn_shows_at_most_one_picture() -> None:
    episode = begin()
    say(episode, *SCRIPT)
    shown = [[picture.kind for picture in message.pictures] for message in episode.messages if message.role == "user"]
    assert shown == [["view"], ["overlay"], ["view"], [], ["overlay"], ["overlay"], ["view"], []]


def test_chat_can_be_drawn_again_from_the_trace() -> None:
    episode = begin()
    say(episode, *SCRIPT)
    trace = Trace.from_json(episode.trace.to_json())
    assert trace == episode.trace
    assert content(trace.messages(FRAME)) == content(episode.messages)


# --- turns


def test_turn_records_what_was_said_and_done() -> None:
    episode = Episode(FRAME, "the mug", FakeSegmenter(), pictures=PictureFormat(756, 28, "pixels"))
    assert told(episode)["picture"] == [756, 392]
    text = '<think>A mug.</think><tool_call>{"name": "segment", "arguments": {"box": [0, 0, 378, 196]}}</tool_call>'
    reply = Reply(text, "call", (5, 6), (-0.5, -0.25), 100, 90, 2, 0.5, degraded=True)
    turn = say(episode, reply)
    assert episode.trace.turns == (turn,)
    assert (turn.index, turn.reply, turn.thought, turn.stop) == (1, text, "A mug.", "call")
    assert (turn.tool, turn.arguments) == ("segment", {"box": [0, 0, 500, 500]})
    observation = json.loads(turn.observation)
    assert (observation["picture"], observation["box"]) == ([392, 196], [0, 0, 196, 98])  # in pixels of the overlay
    assert (turn.token_ids, turn.logprobs) == ((5, 6), (-0.5, -0.25))
    assert (turn.prompt_tokens, turn.cached_tokens, turn.sampled_tokens, turn.reply_seconds) == (100, 90, 2, 0.5)
    assert (turn.mask_id, turn.score, turn.stability, turn.picture) == (1, 0.9, 1.0, "overlay")
    assert (turn.error_code, turn.error_msg, turn.degraded) == ("", "", True)
    say(episode, Reply(FINISH, prompt_tokens=200, cached_tokens=100, sampled_tokens=3, seconds=0.25))
    result = episode.result
    assert (result.prompt_tokens, result.cached_tokens, result.sampled_tokens) == (300, 190, 5)
    assert (result.policy_seconds, result.degraded) == (0.75, True)


def test_bad_reply_is_a_turn_that_changes_nothing_else() -> None:
    episode = begin()
    say(episode, Zoom(MIDDLE))
    turn = say(episode, MALFORMED)
    assert (turn.index, turn.tool, turn.arguments, turn.error_code) == (2, "", None, "no_call")
    assert (turn.view, turn.mask_id, turn.picture) == ((200, 100, 600, 300), 0, None)
    assert told(episode) == {"error": turn.error_msg, "turns_left": 6}


def test_tool_that_has_nothing_to_give_is_told_and_the_episode_goes_on() -> None:
    episode = begin(FakeSegmenter("empty_mask"))
    turn = say(episode, SEGMENT)
    assert (turn.tool, turn.error_code, turn.mask_id) == ("segment", "empty_mask", 0)
    assert "Nothing could be segmented" in told(episode)["error"]
    assert say(episode, ResetView()).error_code == "same_view"
    assert not episode.done


def test_endless_reply_is_refused_and_not_kept_whole() -> None:
    episode = begin()
    turn = say(episode, "x" * 10_000_000 + SEGMENT)
    assert turn.error_code == "too_long"
    assert (len(turn.reply), len(turn.thought)) == (MAX_REPLY_CHARS, MAX_REPLY_CHARS)
    assert len(episode.trace.to_json()) < 200_000


def test_half_a_surrogate_pair_in_a_thought_is_not_kept() -> None:
    episode = begin()
    turn = say(episode, "<think>\ud83d</think>" + render(Segment(MIDDLE)))
    assert (turn.thought, turn.mask_id) == ("?", 1)
    assert Trace.from_json(episode.trace.to_json()) == episode.trace


def test_each_distinct_view_is_encoded_once() -> None:
    segmenter = FakeSegmenter()
    episode = begin(segmenter, Budget(max_turns=20))
    look = Segment(MIDDLE)
    say(episode, look, Zoom(MIDDLE), look, look, ResetView(), look, Zoom(MIDDLE), look, Zoom(LEFT), ResetView(), look)
    assert segmenter.encoded == [(400, 800), (200, 400)]


def test_same_replies_make_the_same_trace_but_for_the_seconds() -> None:
    def run() -> Trace:
        episode = begin()
        say(episode, *SCRIPT)
        turns = tuple(replace(turn, tool_seconds=0.0) for turn in episode.trace.turns)
        return replace(episode.trace, turns=turns, seconds=0.0)

    first = run()
    assert run() == first
    assert run().to_json() == first.to_json()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (31, 33)])
def test_frames_of_any_shape_can_be_looked_at(shape: tuple[int, int]) -> None:
    frame = np.full((*shape, 3), 128, dtype=np.uint8)
    episode = Episode(frame, "the mug", FakeSegmenter())
    whole = Box(0, 0, 1000, 1000)
    say(episode, Zoom(Box(400, 400, 600, 600)), Segment(whole), Segment(refine=1), ResetView(), Combine((1,)))
    say(episode, Finish((1,)))
    assert episode.result.outcome is Outcome.FOUND
    assert content(episode.trace.messages(frame)) == content(episode.messages)
