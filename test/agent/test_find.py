"""The tool `find`: words to numbered masks, in an episode with a detector whose answers are known."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from fakes import FINISH, SEGMENT, FakeFinder, FakeSegmenter, content

from rsagent_ros.agent.actions import (
    ALL_TOOLS,
    FIRST_TOOLS,
    Action,
    Combine,
    Find,
    Finish,
    ReportAmbiguous,
    Segment,
    Zoom,
    render,
)
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.segmenter import tools_with
from rsagent_ros.agent.toolbox import MAX_MARKS
from rsagent_ros.agent.turn import Trace, Turn

FRAME = np.random.default_rng(0).integers(0, 256, (400, 800, 3), dtype=np.uint8)
LEFT, RIGHT = Box(0.1, 0.25, 0.2, 0.75), Box(0.6, 0.25, 0.8, 0.75)
MANY = [Box(0.03 * n, 0.5, 0.03 * n + 0.02, 0.6) for n in range(30)]
KNOWN = {"red mug": [LEFT, RIGHT], "bolt": MANY}


def begin(segmenter: FakeSegmenter | None = None, pictures: PictureFormat = DEFAULT_PICTURES) -> Episode:
    return Episode(FRAME, "the red mug", FakeFinder(KNOWN) if segmenter is None else segmenter, pictures=pictures)


def say(episode: Episode, *replies: str | Action) -> Turn:
    """Step through the replies; returns the last turn."""
    for reply in replies:
        turn = episode.step(Reply(reply if isinstance(reply, str) else f"<think>So.</think>{render(reply)}"))
    assert turn is not None
    return turn


def told(episode: Episode) -> dict[str, Any]:
    """The last observation."""
    facts: dict[str, Any] = json.loads(episode.messages[-1].text)
    return facts


def test_each_instance_is_a_numbered_mask_with_its_score_and_box() -> None:
    episode = begin()
    turn = say(episode, Find("red mug"))
    assert told(episode) == {
        "found": 2,
        "masks": [
            {"mask": 1, "score": 0.9, "box": [100, 250, 200, 750]},
            {"mask": 2, "score": 0.89, "box": [600, 250, 800, 750]},
        ],
        "turns_left": 7,
    }
    assert (turn.picture, turn.mask_id, [made.mask_id for made in turn.masks]) == ("marks", 0, [1, 2])
    mask = episode.trace.mask(2)
    assert mask is not None
    assert mask[100:300, 480:640].all()
    assert mask.sum() == 200 * 160


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        (Finish((2,)), Outcome.FOUND),
        (Finish((1, 2)), Outcome.FOUND),
        (ReportAmbiguous((1, 2), "Which?"), Outcome.AMBIGUOUS),
    ],
)
def test_endings_take_the_numbers(action: Action, outcome: Outcome) -> None:
    episode = begin()
    say(episode, Find("red mug"), action)
    assert episode.result.outcome is outcome
    back = Trace.from_json(episode.trace.to_json())
    assert back == episode.trace
    assert content(back.messages(FRAME)) == content(episode.messages)


def test_other_tools_take_the_numbers() -> None:
    episode = begin()
    assert say(episode, Find("red mug"), Combine((1, 2))).mask_id == 3
    assert say(episode, Segment(refine=1)).mask_id == 4
    mask = episode.trace.mask(4)
    assert mask is not None
    assert math.isclose(mask.sum(), 200 * 80, rel_tol=0.05)


def test_in_a_zoomed_view_masks_are_of_the_whole_frame() -> None:
    episode = begin()
    say(episode, Zoom(Box(500, 0, 1000, 1000)), Find("red mug"))
    mask = episode.trace.mask(2)
    assert mask is not None
    assert mask.shape == (400, 800)
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (640, 720, 100, 300)
    assert told(episode)["masks"][1]["box"] == [600, 250, 800, 750]


def test_nothing_found_is_an_observation_without_a_picture() -> None:
    episode = begin()
    turn = say(episode, Find("dog"))
    assert (turn.error_code, turn.picture, turn.masks) == ("", None, ())
    assert told(episode) == {"found": 0, "turns_left": 7}
    assert episode.messages[-1].pictures == ()


def test_a_phrase_is_searched_for_once_in_each_view() -> None:
    finder = FakeFinder(KNOWN)
    episode = begin(finder)
    say(episode, Find("red mug"))
    again = say(episode, Find("  Red  MUG "))
    assert again.error_code == "tried_before"
    assert "masks 1 to 2" in told(episode)["error"]
    say(episode, Find("dog"))
    assert say(episode, Find("dog")).error_code == "tried_before"
    say(episode, Zoom(Box(0, 0, 500, 1000)), Find("red mug"))
    assert finder.found == ["red mug", "dog", "red mug"]


def test_the_surest_are_marked_and_the_others_counted() -> None:
    episode = begin()
    turn = say(episode, Find("bolt"))
    facts = told(episode)
    assert (facts["found"], len(facts["masks"]), len(turn.masks)) == (30, MAX_MARKS, MAX_MARKS)
    assert facts["masks"][-1]["score"] == 0.67


def test_without_a_segmenter_that_takes_words_there_is_no_such_tool() -> None:
    episode = begin(FakeSegmenter())
    assert "find" not in episode.trace.pictures.tools
    assert "- find(" not in episode.messages[0].text
    assert say(episode, Find("red mug")).error_code == "unknown_tool"


def test_tools_are_those_that_the_segmenter_can_carry_out() -> None:
    assert tools_with(FakeFinder({}), ALL_TOOLS) == ALL_TOOLS
    assert tools_with(FakeFinder({}), FIRST_TOOLS) == FIRST_TOOLS
    assert set(ALL_TOOLS) - set(tools_with(FakeSegmenter(), ALL_TOOLS)) == {"find"}


@pytest.mark.parametrize("fault", ["empty_mask", "nan_score"])
def test_what_has_no_pixels_or_no_score_is_not_found(fault: Any) -> None:
    episode = begin(FakeFinder(KNOWN, fault))
    say(episode, Find("red mug"))
    assert told(episode)["found"] == 0


@pytest.mark.parametrize(
    ("fault", "code"), [("out_of_memory", ErrorCode.OUT_OF_MEMORY), ("wrong_shape", ErrorCode.SEGMENTER_FAILED)]
)
def test_a_finder_that_fails_ends_the_goal(fault: Any, code: ErrorCode) -> None:
    episode = begin(FakeFinder(KNOWN, fault))
    say(episode, Find("red mug"))
    assert (episode.result.outcome, episode.result.error_code) == (Outcome.FAILED, code)


@pytest.mark.parametrize("phrase", ["", "  ", "x" * 201, "x" * 3_000, 7, None])
def test_what_is_no_phrase_is_a_bad_reply(phrase: object) -> None:
    call = json.dumps({"name": "find", "arguments": {"phrase": phrase}})
    assert say(begin(), f"<think>So.</think><tool_call>{call}</tool_call>").error_code == "bad_phrase"


def test_pixels_are_those_of_the_picture_with_the_marks() -> None:
    pictures = PictureFormat(768, 32, "pixels")
    episode = begin(pictures=pictures)
    say(episode, Find("red mug"))
    facts, picture = told(episode), episode.messages[-1].pictures[0]
    assert facts["picture"] == [picture.pixels.shape[1], picture.pixels.shape[0]] == [384, 192]
    assert facts["masks"][0]["box"] == [38, 48, 77, 144]
    say(episode, Find("dog"), f"<think>So.</think>{render(Segment(Box(0, 0, 500, 500)), (384, 192))}")
    mask = episode.trace.mask(3)
    assert mask is not None
    assert (mask.sum(), mask[:200, :400].all()) == (200 * 400, True)


def test_what_was_found_is_the_best_so_far_when_the_turns_are_over() -> None:
    episode = begin()
    say(episode, Find("red mug"))
    result = episode.stop(Outcome.GAVE_UP, ErrorCode.TIME_SPENT)
    assert [instance.mask_id for instance in result.instances] == [1]
    assert say(begin(), SEGMENT, FINISH).tool == "finish"
