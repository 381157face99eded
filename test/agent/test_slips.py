"""Slips: a reply that means one thing is read in spite of them, each is noted, and what could mean two is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import ABSENT, FINISH, SEGMENT, FakePolicy, FakeSegmenter

from rsagent_ros.agent.actions import Action, Finish, ReportAbsent, ResetView, Segment, Zoom
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import ReplyError
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.parsing import parse, read
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.family import FAMILIES
from rsagent_ros.scoring.metrics import values
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score

FRAME = np.zeros((100, 200, 3), np.uint8)
EXTENT = (1000.0, 1000.0)
ZOOM = '{"name": "zoom", "arguments": {"box": [1, 2, 3, 4]}}'
ACTION = Zoom(Box(1, 2, 3, 4))


def tagged(body: str) -> str:
    return f"<think>So.</think>\n<tool_call>{body}</tool_call>"


def box(numbers: str, name: str = "box") -> str:
    return tagged(f'{{"name": "segment", "arguments": {{"{name}": {numbers}}}}}')


@pytest.mark.parametrize(
    ("reply", "action", "slips"),
    [
        (tagged(ZOOM), ACTION, ()),
        (tagged(f"```json\n{ZOOM}\n```"), ACTION, ("code_fence",)),
        (tagged(f"\n```\n{ZOOM}\n```\n"), ACTION, ("code_fence",)),
        (tagged(f"```JSON {ZOOM}```"), ACTION, ("code_fence",)),
        (f"<think>So.</think>\n```json\n<tool_call>{ZOOM}</tool_call>\n```", ACTION, ("code_fence",)),
        (f"```\n<tool_call>{ZOOM}</tool_call>```\n", ACTION, ("code_fence",)),
        (tagged(ZOOM).removesuffix("</tool_call>"), ACTION, ("unclosed_call",)),
        (tagged(ZOOM).removesuffix("</tool_call>") + "\n", ACTION, ("unclosed_call",)),
        (tagged(ZOOM).removesuffix("_call>"), ACTION, ("unclosed_call",)),
        (tagged(ZOOM).removesuffix("/tool_call>") + "\n", ACTION, ("unclosed_call",)),
        (tagged(f"```json\n{ZOOM}\n```").removesuffix("</tool_call>"), ACTION, ("unclosed_call", "code_fence")),
        (box("[30, 40, 10, 20]"), Segment(Box(10, 20, 30, 40)), ("reversed_box",)),
        (box("[10, 40, 30, 20]"), Segment(Box(10, 20, 30, 40)), ("reversed_box",)),
        (box("[30, 20, 10, 40]"), Segment(Box(10, 20, 30, 40)), ("reversed_box",)),
        (box("[10, 20, 30, 40]", "bbox_2d"), Segment(Box(10, 20, 30, 40)), ("box_name",)),
        (tagged(ZOOM.replace("box", "bbox_2d")), ACTION, ("box_name",)),
        (box("[30, 40, 10, 20]", "bbox_2d"), Segment(Box(10, 20, 30, 40)), ("box_name", "reversed_box")),
        (tagged('{"name": "report_absent", "arguments": {"reason": "```"}}'), ReportAbsent("```"), ()),
        (tagged('{"name": "finish", "arguments": {"mask": 1}}')[:-12], Finish((1,)), ("unclosed_call",)),
        (tagged('{"name": "reset_view"}')[:-12], ResetView(), ("unclosed_call",)),
    ],
)
def test_what_means_one_thing_is_read_and_noted(reply: str, action: Action, slips: tuple[str, ...]) -> None:
    parsed = read(reply, EXTENT, ended=True, box_name="bbox_2d")
    assert (parsed.action, parsed.slips) == (action, slips)
    if slips:
        with pytest.raises(ReplyError):
            parse(reply)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (tagged(ZOOM[:-1])[:-12], "unclosed_call"),
        (tagged(ZOOM[:-9])[:-12], "unclosed_call"),
        (tagged(ZOOM)[:-12] + " and so on", "unclosed_call"),
        (tagged(ZOOM)[:-12] + "<", "no_error"),
        ("<think>So.</think><tool_call>", "unclosed_call"),
        ("<think>So.</think>", "no_call"),
        (ZOOM, "no_call"),
        (f"```json\n{ZOOM}\n```", "no_call"),
        (tagged(ZOOM) * 2, "two_calls"),
        (f"{tagged(ZOOM)}\n```", "text_after_call"),
        (f"```json\n<tool_call>{ZOOM}</tool_call>\n``` Done.", "text_after_call"),
        (tagged(f"```json\n{ZOOM}"), "bad_json"),
        (tagged(f"`{ZOOM}`"), "bad_json"),
        (tagged(f"Here: ```json\n{ZOOM}\n```"), "bad_json"),
        (tagged(f"```json\n{ZOOM}\n```\n```json\n{ZOOM}\n```"), "bad_json"),
        (box("[10, 40, 10, 20]"), "empty_box"),
        (box("[30, 20, 10, 20]"), "empty_box"),
        (box("[30, 1040, 10, 20]"), "out_of_range"),
        (box("[1, 2, 3, 4]", "bbox"), "extra_argument"),
        (tagged('{"name": "segment", "arguments": {"box": [1, 2, 3, 4], "bbox_2d": [1, 2, 3, 4]}}'), "extra_argument"),
        (tagged('{"name": "reset_view", "arguments": {"bbox_2d": [1, 2, 3, 4]}}'), "extra_argument"),
    ],
)
def test_what_could_mean_more_stays_a_mistake(reply: str, code: str) -> None:
    if code == "no_error":
        assert read(reply, EXTENT, ended=True, box_name="bbox_2d").action == ACTION
        return
    with pytest.raises(ReplyError) as caught:
        read(reply, EXTENT, ended=True, box_name="bbox_2d")
    assert caught.value.code == code


def test_a_reply_that_was_cut_is_not_closed_for_it() -> None:
    """Where tokens ran out, more may have been meant, even where the JSON happens to be whole."""
    with pytest.raises(ReplyError) as caught:
        read(tagged(ZOOM)[:-12], EXTENT, ended=False)
    assert caught.value.code == "unclosed_call"


def test_the_name_of_a_box_is_the_familys() -> None:
    assert {family.pictures().box_name for family in FAMILIES} == {"bbox_2d"}
    with pytest.raises(ReplyError) as caught:
        read(box("[1, 2, 3, 4]", "bbox_2d"), EXTENT, ended=True)
    assert caught.value.code == "extra_argument"


# --- in an episode


def answered(*replies: str | Reply, pictures: PictureFormat | None = None) -> Trace:
    episode = Episode(FRAME, "the mug", FakeSegmenter(), pictures=pictures or PictureFormat(box_name="bbox_2d"))
    drive(episode, FakePolicy([*replies]))
    return episode.trace


def test_a_turn_notes_its_slips_and_the_record_keeps_them() -> None:
    trace = answered(SEGMENT.replace('"box"', '"bbox_2d"'), FINISH.removesuffix("</tool_call>"))
    assert [turn.slips for turn in trace.turns] == [("box_name",), ("unclosed_call",)]
    assert trace.outcome is Outcome.FOUND
    assert trace.turns[0].reply == SEGMENT.replace('"box"', '"bbox_2d"')
    assert Trace.from_json(trace.to_json()) == trace


def test_a_reply_with_slips_whose_call_is_wrong_is_a_bad_one_and_counts_once() -> None:
    unknown = '<tool_call>```\n{"name": "finish", "arguments": {"mask": 9}}\n```</tool_call>'
    answer = prediction_of(answered(unknown, ABSENT))
    assert (answer.bad_replies, answer.repaired_replies) == (1, 0)


def test_slips_are_counted_in_the_metrics() -> None:
    answer = prediction_of(answered(SEGMENT.replace('"box"', '"bbox_2d"'), FINISH.removesuffix("</tool_call>")))
    truth = Example("a", FRAME, "the mug", Outcome.NOT_IN_VIEW)
    assert score(answer, truth).repaired_replies == 2
    assert values([score(answer, truth)])["repaired_replies"] == 2


def test_a_trace_of_before_is_read_and_repeats_without_lenience() -> None:
    reply = FINISH.removesuffix("</tool_call>")
    strict = answered(reply, ABSENT, pictures=PictureFormat(lenient=False))
    assert [turn.error_code for turn in strict.turns] == ["unclosed_call", ""]
    data = json.loads(strict.to_json())
    for turn in data["turns"]:
        del turn["slips"]
    assert Trace.from_json(json.dumps(data)) == strict
