"""Data of the page about a goal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from fakes import ABSENT, AMBIGUOUS, FINISH, SEGMENT, SEGMENT_LEFT, ZOOM
from recorded import noise, recorded

from rsagent_ros.agent.turn import Turn
from rsagent_ros.label.goal_row import GoalRow
from rsagent_ros.label.goal_store import OpenedGoal
from rsagent_ros.label.page_data import TURN_SIDE, frame_jpeg, goal_json, row_json, turn_jpeg
from rsagent_ros.records.record import Record, Verdict


def told(record: Record) -> dict[str, Any]:
    """As it arrives."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(goal_json("k", OpenedGoal(record, ()))))
    return decoded


def test_an_answer_and_its_turns() -> None:
    goal = told(recorded((ZOOM, SEGMENT, FINISH), image=noise(320, 240)))
    assert (goal["outcome"], goal["title"], goal["not_acceptable"]) == ("found", "found", "")
    assert len(goal["answers"]) == 1
    assert goal["start"] == goal["answers"][0]
    zoom, segment, finish = goal["turns"]
    assert (zoom["tool"], zoom["thought"], zoom["box"]) == ("zoom", "Closer.", [80, 60, 240, 180])
    assert segment["box"] == [120, 90, 200, 150]  # the middle of the middle, in pixels of the whole image
    assert (zoom["picture"], segment["picture"], finish["picture"]) == (True, True, False)


def test_points_are_those_of_the_frame() -> None:
    record = recorded((ZOOM, SEGMENT, FINISH), image=noise(320, 240))
    turns = list(record.trace.turns)
    turns[1] = replace(turns[1], arguments={"positive": [[500, 500]], "negative": [[0, 1000], "x", [1], [None, 2]]})
    goal = told(replace(record, trace=replace(record.trace, turns=tuple(turns))))
    assert goal["turns"][1]["positive"] == [[160, 120]]
    assert goal["turns"][1]["negative"] == [[80, 180]]


@pytest.mark.parametrize("box", ["all of it", [1, 2, 3], [1, 2, 3, "4"], [True, 1, 1, 1], {"x": 1}])
def test_arguments_that_are_nothing_known_are_shown_as_text(box: object) -> None:
    record = recorded()
    odd = replace(record.trace.turns[0], arguments={"box": box, "positive": 5})
    goal = told(replace(record, trace=replace(record.trace, turns=(odd, *record.trace.turns[1:]))))
    assert goal["turns"][0]["box"] is None
    assert "box" in goal["turns"][0]["arguments"]


def test_without_an_answer() -> None:
    absent = told(recorded((ABSENT,)))
    assert (absent["title"], absent["answers"], absent["start"]) == ("not in view", [], "")
    assert absent["said"] == "there is nothing like it"
    failed = told(recorded(("no call",) * 8))
    assert failed["title"] == "gave up"
    assert "nothing to accept" in failed["not_acceptable"]


def test_candidates_and_verdicts() -> None:
    drawn = np.zeros((48, 64), np.bool_)
    drawn[3:9, 5:20] = True
    goal = told(
        recorded(
            (SEGMENT, SEGMENT_LEFT, AMBIGUOUS),
            verdicts=(
                Verdict("goal-1", "operator", accepted=False, mask=drawn, note="<i>", stamp_ns=9_000_000_000),
                Verdict("goal-1", "grasp", accepted=True, stamp_ns=5_000_000_000),
            ),
        )
    )
    assert len(goal["answers"]) == 2
    mine, gripper = goal["verdicts"]
    assert (mine["state"], mine["source"], mine["note"], mine["counts"]) == ("corrected", "operator", "<i>", True)
    assert mine["when"] == "1970-01-01 00:00:09"
    assert (gripper["state"], gripper["outlines"], gripper["counts"]) == ("accepted", [], False)
    assert [goal["start"]] == mine["outlines"] != [""]


def test_numbers_that_json_does_not_have() -> None:
    record = recorded()
    turn = replace(record.trace.turns[0], score=float("nan"), reply_seconds=float("inf"))
    goal = told(replace(record, trace=replace(record.trace, turns=(turn,), seconds=float("nan"))))
    assert (goal["seconds"], goal["turns"][0]["score"]) == (None, None)


def test_pictures() -> None:
    record = recorded((ZOOM, SEGMENT, FINISH), image=noise(320, 240))

    def decoded(data: bytes | None) -> Any:
        assert data is not None
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)

    assert decoded(frame_jpeg(record.image)).shape == (240, 320, 3)
    assert decoded(turn_jpeg(record.trace, 0, record.image)).shape == (TURN_SIDE * 3 // 8, TURN_SIDE // 2, 3)
    overlay = decoded(turn_jpeg(record.trace, 1, record.image))
    assert overlay.shape == (288, 384, 3), "the bars of the square overlay are to be cut off"
    for number in (-1, 2, 3, 10**30):
        assert turn_jpeg(record.trace, number, record.image) is None


def test_a_row_that_is_broken() -> None:
    row = row_json(GoalRow("k", problem="cut at byte 5"))
    assert (row["record"], row["outcome"], row["title"], row["problem"]) == ("k", None, "", "cut at byte 5")


def test_a_turn_without_a_call_shows_what_was_said() -> None:
    goal = told(recorded(("I am <lost>.",) * 2))
    turn: dict[str, Any] = goal["turns"][0]
    assert turn["reply"] == "I am <lost>."
    assert turn["error"].startswith("no_call")
    assert isinstance(recorded().trace.turns[0], Turn)
