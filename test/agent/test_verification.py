"""Verification: the messages of a fresh conversation, and the opinion in its reply."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from fakes import AMBIGUOUS, MALFORMED, NO, SEGMENT, YES

from rsagent_ros.agent.actions import Finish, ReportAbsent, render
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.grammar import grammar
from rsagent_ros.agent.mask import EDGE_COLOUR
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.parsing import MAX_REPLY_CHARS, parse
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.verification import (
    MARGIN,
    MAX_REASON,
    SHOWN_AS,
    Verification,
    crop_around,
    objection,
    verification_messages,
    verification_of,
)

VIEW = crop_around(Box(10, 10, 40, 30), 100, 80)


def verified(reply: Reply | str) -> Verification:
    return verification_of(3, VIEW, reply, 0.5)


# --- what is shown


def test_the_crop_is_the_mask_with_a_margin_that_ends_at_the_frame() -> None:
    view = crop_around(Box(300, 200, 400, 240), 640, 480)
    assert view.key == (300 - MARGIN * 100, 200 - MARGIN * 100, 400 + MARGIN * 100, 240 + MARGIN * 100)
    assert crop_around(Box(0, 0, 100, 40), 640, 480).key == (0, 0, 150, 90)
    small = crop_around(Box(50, 40, 52, 41), 100, 80)
    assert (small.width, small.height) == (34, 33)
    assert crop_around(Box(0, 0, 100, 80), 100, 80).key == (0, 0, 100, 80)
    assert crop_around(Box(1, 1, 2, 2), 3, 4).key == (0, 0, 3, 4)


def test_a_fresh_conversation_sees_the_crop_and_nothing_else() -> None:
    frame = np.full((80, 100, 3), 90, np.uint8)
    frame[:, 60:] = (255, 0, 0)  # out of the crop: not to be seen
    mask = np.zeros((80, 100), np.bool_)
    mask[10:30, 10:40] = True
    pictures = PictureFormat(768, 28, "pixels")
    previous = (Exchange("the mug", "which of the two?"),)
    messages = verification_messages("the left <one>", previous, frame, mask, VIEW, pictures)
    assert [message.role for message in messages] == ["system", "user"]
    facts = json.loads(messages[1].text)
    assert facts == {
        "instruction": "the left <one>",
        "previous": [{"instruction": "the mug", "question": "which of the two?"}],
        "second_look": SHOWN_AS,
    }
    assert "<" not in messages[1].text
    clean, overlay = messages[1].pictures
    assert (clean.kind, overlay.kind) == ("view", "overlay")
    assert all(side % 28 == 0 for side in (*clean.pixels.shape[:2], *overlay.pixels.shape[:2]))
    assert VIEW.x1 <= 60
    assert not (clean.pixels == (255, 0, 0)).all(axis=2).any()
    assert (overlay.pixels == EDGE_COLOUR).all(axis=2).any()


def test_the_calls_that_the_prompt_shows_are_calls() -> None:
    blank = np.zeros((80, 100, 3), np.uint8)
    system, _ = verification_messages("a mug", (), blank, blank[..., 0] > 0, VIEW, DEFAULT_PICTURES)
    calls = [line.split(": ", 1)[1] for line in system.text.splitlines() if line.startswith("- ")]
    assert [type(parse(call)) for call in calls] == [Finish, ReportAbsent]
    assert parse(calls[0]) == Finish((SHOWN_AS,))
    assert all(re.fullmatch(grammar(), f"<think>I look.</think>{call}") for call in calls)


# --- what a reply says


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        (YES, "yes", ""),
        (NO, "no", "it is a plate"),
        (MALFORMED, "unreadable", "no_call: "),
        ("", "unreadable", "no_call: "),
        (render(Finish((2,))), "unreadable", "the reply calls finish, which is neither yes nor no"),
        (render(Finish((1, 2))), "unreadable", "the reply calls finish"),
        (SEGMENT, "unreadable", "the reply calls segment"),
        (AMBIGUOUS, "unreadable", "the reply calls report_ambiguous"),
        ("x" * (MAX_REPLY_CHARS + 500), "unreadable", "too_long: "),
    ],
)
def test_yes_no_and_no_opinion(text: str, verdict: str, reason: str) -> None:
    look = verified(
        Reply(text, token_ids=(1, 2), logprobs=(-0.5, -0.1), sampled_tokens=2, prompt_tokens=9, seconds=0.1)
    )
    assert look.verdict == verdict
    assert look.reason.startswith(reason)
    assert (look.mask_id, look.view, look.reply_seconds) == (3, VIEW.key, 0.5)
    assert (look.token_ids, look.sampled_tokens, look.prompt_tokens) == ((1, 2), 2, 9)
    assert verified(look.as_reply()) == look  # what is played back says the same again


@pytest.mark.parametrize("stop", ["cancel", "deadline"])
def test_a_reply_that_was_broken_off_is_no_opinion(stop: str) -> None:
    look = verified(Reply(NO, stop))  # type: ignore[arg-type]
    assert (look.verdict, look.stop) == ("unreadable", stop)
    assert verified(look.as_reply()) == look


def test_half_a_surrogate_pair_does_no_harm() -> None:
    look = verified(Reply("\ud83d" + NO))
    assert (look.verdict, look.reply[0]) == ("no", "?")
    assert verified(look.as_reply()) == look
    assert verified("\ud83d").reason == "?"


def test_a_failure_is_played_back_as_one() -> None:
    look = verified("the server is away")
    assert (look.verdict, look.reason, look.reply) == ("failed", "the server is away", "")
    with pytest.raises(RunFailed, match="the server is away") as caught:
        look.as_reply()
    assert caught.value.code is ErrorCode.POLICY_FAILED


def test_the_objection_names_masks_and_reasons_and_is_short() -> None:
    looks = [
        Verification(4, VIEW.key, "no", "it is a plate"),
        Verification(7, VIEW.key, "no", "long " * 200),
    ]
    told = objection(looks)
    assert "mask 4: it is a plate; mask 7: long long" in told
    assert "end with the same answer again" in told
    assert len(told) < MAX_REASON + 300
