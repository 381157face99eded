"""Turn and Trace: what is written comes back equal, and what is no trace is refused with the field that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FINISH, SEGMENT, ZOOM, FakePolicy, FakeSegmenter, Step, content

from rsagent_ros.agent.actions import FIRST_TOOLS
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.turn import MAX_TRACE_BYTES, VERSION, Trace, Turn

FRAME = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
OLDEST = PictureFormat(overlay="square", lenient=False, tools=FIRST_TOOLS)
"""The chat of release 0.1.0."""


def recorded() -> Trace:
    episode = Episode(FRAME, "the middle", FakeSegmenter(), goal_id="7", policy_name="fake_policy")
    drive(episode, FakePolicy([ZOOM, SEGMENT, "no call", FINISH]))
    return episode.trace


TRACE = recorded()


def test_trace_comes_back_equal() -> None:
    assert Trace.from_json(TRACE.to_json()) == TRACE
    assert Trace.from_json(TRACE.to_json().encode()) == TRACE


def test_every_field_comes_back() -> None:
    full = replace(
        TRACE.turns[1],
        stop="length",
        degraded=True,
        token_ids=(1, 2, 151_643),
        logprobs=(-0.5, -1e-9, 0.0),
        picture_sizes=((200, 100), (64, 32)),
        reply_chars=40_000,
        prompt_tokens=1000,
        cached_tokens=900,
        sampled_tokens=3,
        arguments={"box": [0, 0.5, 1000, 999], "reason": "grün 中 🤖 \0 </tool_call>"},
        error_code="empty_mask",
        error_msg="nothing",
    )
    trace = replace(
        TRACE,
        turns=(full,),
        outcome=Outcome.AMBIGUOUS,
        error_code=ErrorCode.TIME_SPENT,
        candidate_ids=(1, 2),
        confidences=(0.1, 0.2),
        question="Which?",
        reason="none",
        partial=True,
    )
    back = Trace.from_json(trace.to_json())
    assert back == trace
    assert back.outcome is Outcome.AMBIGUOUS
    assert back.error_code is ErrorCode.TIME_SPENT


def test_trace_of_a_running_episode_comes_back() -> None:
    running = Episode(FRAME, "a", FakeSegmenter()).trace
    assert running.outcome is None
    assert Trace.from_json(running.to_json()) == running


def test_masks_of_a_trace_are_those_of_the_episode() -> None:
    episode = Episode(FRAME, "the middle", FakeSegmenter())
    result = drive(episode, FakePolicy([ZOOM, SEGMENT, FINISH]))
    mask = Trace.from_json(episode.trace.to_json()).mask(1)
    assert mask is not None
    np.testing.assert_array_equal(mask, result.instances[0].mask)
    assert episode.trace.mask(2) is None


def test_chat_is_drawn_again_from_the_frame() -> None:
    episode = Episode(FRAME, "the middle", FakeSegmenter())
    drive(episode, FakePolicy([ZOOM, SEGMENT, "no call", FINISH]))
    again = Trace.from_json(episode.trace.to_json()).messages(FRAME)
    assert content(again) == content(episode.messages)


def test_chat_of_another_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="64 x 48 frame"):
        TRACE.messages(FRAME[:-1])


def test_pictures_are_drawn_at_the_sizes_at_which_they_were_last_seen() -> None:
    """Memory was full from the second reply on, and the overlay came after that."""
    episode = Episode(FRAME, "the middle", FakeSegmenter())
    sizes = ((272, 204), (200, 152))
    script: list[Step] = [ZOOM, Reply(SEGMENT, picture_sizes=sizes), Reply(FINISH, picture_sizes=(*sizes, (272, 204)))]
    drive(episode, FakePolicy(script))
    chat = Trace.from_json(episode.trace.to_json()).messages(FRAME)
    pictures = [picture for message in chat for picture in message.pictures]
    assert [(picture.pixels.shape[1], picture.pixels.shape[0]) for picture in pictures] == [*sizes, (272, 204)]
    assert [picture.kind for picture in pictures] == ["view", "view", "overlay"]
    drawn = [picture for message in episode.messages for picture in message.pictures]
    smaller = cv2.resize(drawn[2].pixels, (272, 204), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(pictures[2].pixels, smaller)


def version_1(trace: Trace) -> str:
    """The trace as release 0.1.0 wrote it."""
    data = json.loads(trace.to_json())
    data["version"] = 1
    for key in ("overlay", "box_name", "lenient", "tools"):
        del data["pictures"][key]
    for turn in data["turns"]:
        del turn["reply_chars"], turn["picture_sizes"], turn["slips"]
    return json.dumps(data)


def test_a_trace_of_release_0_1_0_has_squares_as_overlays_and_the_tools_of_its_time() -> None:
    episode = Episode(FRAME, "the middle", FakeSegmenter(), pictures=OLDEST)
    drive(episode, FakePolicy([SEGMENT, FINISH]))
    back = Trace.from_json(version_1(episode.trace))
    assert back == episode.trace
    assert content(back.messages(FRAME)) == content(episode.messages)
    assert back.messages(FRAME)[-2].pictures[0].pixels.shape == (384, 384, 3)


def test_a_reply_of_release_0_1_0_that_was_too_long_is_too_long_again() -> None:
    episode = Episode(FRAME, "the middle", FakeSegmenter(), pictures=OLDEST)
    episode.step(Reply("x" * 40_000))
    back = Trace.from_json(version_1(episode.trace))
    assert back == episode.trace
    assert len(back.turns[0].as_reply().text) == 40_000


def test_turn_without_a_picture_shows_none() -> None:
    assert Turn(1, "no call", (0, 0, 64, 48)).shown(FRAME, DEFAULT_PICTURES) is None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(SEGMENT, token_ids=(1, 2), logprobs=(-0.5, -0.25), prompt_tokens=7, sampled_tokens=2, seconds=0.5),
        Reply("<think>The", stop="length", degraded=True),
        Reply("x" * 40_000),
        Reply("<think>The", stop="deadline"),
        Reply("<think>The", stop="cancel"),
        Reply(SEGMENT, picture_sizes=((288, 216),)),
    ],
    ids=["call", "length", "too long to keep", "deadline", "cancel", "smaller pictures"],
)
def test_a_reply_can_be_given_again(reply: Reply) -> None:
    def turn_of(said: Reply) -> Turn:
        episode = Episode(FRAME, "the middle", FakeSegmenter())
        episode.step(said)
        (turn,) = episode.trace.turns
        return replace(turn, tool_seconds=0.0)

    turn = turn_of(reply)
    assert turn_of(Trace.from_json(replace(TRACE, turns=(turn,)).to_json()).turns[0].as_reply()) == turn


def test_a_reply_that_came_too_late_is_late_again() -> None:
    turn = replace(TRACE.turns[0], error_code="broken_off", stop="call")
    assert turn.as_reply().stop == "deadline"


def changed(change: Callable[[Any], object]) -> str:
    data = json.loads(TRACE.to_json())
    change(data)
    return json.dumps(data)


HOSTILE: list[tuple[str | bytes, str]] = [
    ("", "truncated"),
    ("{", "truncated"),
    ("null", "Expected `object`"),
    ("[]", "Expected `object`"),
    ("{}", "missing required field `version`"),
    ("[" * 100_000, "recursion|not a trace"),
    ('{"version": 1, "goal_id": ' + '{"a":' * 100_000, "recursion|not a trace"),
    (b"\xff\xfe", "not a trace"),
    (b'{"version": 1, "goal_id": "\xff"}', "UTF-8|utf-8"),
    ('{"version": 1, "goal_id": "\ud800"}', "not a trace"),
    (TRACE.to_json()[:-1], "truncated"),
    (TRACE.to_json() + "x", "trailing characters"),
    (changed(lambda d: d.update(version=VERSION + 1)), f"version {VERSION + 1}; this release"),
    (changed(lambda d: d.update(version=0)), "version 0"),
    (changed(lambda d: d.update(version="1")), r"\$.version"),
    (changed(lambda d: d.update(version=True)), r"\$.version"),
    (changed(lambda d: d.update(width="64")), r"\$.width"),
    (changed(lambda d: d.update(width=64.5)), r"\$.width"),
    (changed(lambda d: d.update(goal_id=None)), r"\$.goal_id"),
    (changed(lambda d: d.pop("instruction")), "instruction"),
    (changed(lambda d: d.update(outcome="won")), r"\$.outcome"),
    (changed(lambda d: d.update(error_code=5)), r"\$.error_code"),
    (changed(lambda d: d.update(seconds=float("nan"))), "not a trace"),
    (changed(lambda d: d.update(seconds=None)), r"\$.seconds"),
    (changed(lambda d: d.update(turns={})), r"\$.turns"),
    (changed(lambda d: d.update(turns=[1])), r"\$.turns\[0\]"),
    (changed(lambda d: d.update(confidences=["high"])), r"\$.confidences\[0\]"),
    (changed(lambda d: d.update(width=63)), r"mask of size \[48, 64\] in a frame of \[48, 63\].* - at `\$.turns\[1\]`"),
    (changed(lambda d: d.update(width=0)), "not in the frame"),
    (changed(lambda d: d["turns"][0].pop("index")), "index"),
    (changed(lambda d: d["turns"][0].update(picture="photo")), r"\$.turns\[0\].picture"),
    (changed(lambda d: d["turns"][0].update(view=[0, 0, 65, 48])), r"\$.turns\[0\]"),
    (changed(lambda d: d["turns"][0].update(view=[-1, 0, 64, 48])), r"\$.turns\[0\]"),
    (changed(lambda d: d["turns"][0].update(view=[5, 0, 5, 48])), r"\$.turns\[0\]"),
    (changed(lambda d: d["turns"][0].update(token_ids=[1.5])), r"\$.turns\[0\].token_ids\[0\]"),
    (changed(lambda d: d["turns"][1]["mask"].update(counts="x")), r"\$.turns\[1\]"),
    (changed(lambda d: d["turns"][1]["mask"].update(counts=[1])), r"\$.turns\[1\].mask.counts"),
    (changed(lambda d: d["turns"][1]["mask"].pop("size")), r"\$.turns\[1\].mask"),
    (changed(lambda d: d["turns"][0].update(picture_sizes=[[32, 0]])), r"\$.turns\[0\]"),
    (changed(lambda d: d["turns"][0].update(picture_sizes=[[32, 10**9]])), r"\$.turns\[0\]"),
    (changed(lambda d: d["turns"][1].update(mask=encode_rle(np.ones((64, 48), dtype=np.bool_)))), r"\$.turns\[1\]"),
    (b" " * (MAX_TRACE_BYTES + 1), "over the limit of 64000000"),
    (b" " * 100_000_000, "100000000 bytes"),
]


@pytest.mark.parametrize(("text", "message"), HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_what_is_no_trace_is_refused_with_the_field(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trace.from_json(text)


def test_infinite_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="not a trace"):
        Trace.from_json(TRACE.to_json().replace('"seconds":', '"seconds":1e999,"seconds":'))


def test_fields_of_a_later_release_are_skipped() -> None:
    assert Trace.from_json(changed(lambda d: d.update(added_later=[1, {}]))) == TRACE


def test_many_turns_of_huge_masks_are_refused_without_drawing_them() -> None:
    huge = {"index": 1, "reply": "", "view": [0, 0, 64, 48], "mask": {"size": [8000, 8000], "counts": "00"}}
    with pytest.raises(ValueError, match=r"\$.turns\[0\]"):
        Trace.from_json(changed(lambda d: d.update(turns=[huge] * 10_000)))
