"""Rows of the list, of whatever stands in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from labelling import write_goal

from rsagent_ros.label.goal_row import read_row
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.record_messages import DEPTH_TOPIC, RESULT_TOPIC, entries
from rsagent_ros.records.writer import encode


def rewritten(path: Path, **fields: Any) -> Path:
    """The record with other values in its result."""
    messages = list(entries(read_record(path)))
    (result,) = (entry.message for entry in messages if entry.topic == RESULT_TOPIC)
    for name, value in fields.items():
        setattr(result, name, value)
    path.write_bytes(encode(messages))
    return path


def test_an_outcome_of_a_newer_release_is_unknown(tmp_path: Path) -> None:
    row = read_row("k", rewritten(write_goal(tmp_path), outcome=200), ())
    assert (row.outcome, row.problem) == (None, "")


def test_a_time_before_the_first(tmp_path: Path) -> None:
    path = write_goal(tmp_path)
    messages = list(entries(read_record(path)))
    for entry in messages:
        if entry.topic == RESULT_TOPIC:
            entry.message.header.stamp.sec = -(2**31)
    path.write_bytes(encode(messages))
    row = read_row("k", path, ())
    assert (row.day, row.problem) == ("1901-12-13", "")


def test_words_come_as_they_were_recorded(tmp_path: Path) -> None:
    words = "<b>the mug</b>\n\x00 ☕ " + "x" * 9_000
    assert read_row("k", rewritten(write_goal(tmp_path), instruction=words), ()).instruction == words


def test_verdicts_that_were_recorded_with_the_goal_count(tmp_path: Path) -> None:
    path = write_goal(tmp_path, "a", Verdict("a", "operator", accepted=True, stamp_ns=3))
    row = read_row("k", path, ())
    assert (row.state, row.judged) == ("accepted", True)


@pytest.mark.parametrize("cut", [0, 1, 8, 100, 2_000])
def test_a_file_that_is_cut_is_a_problem_with_its_place(tmp_path: Path, cut: int) -> None:
    path = write_goal(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    row = read_row("k", path, ())
    assert str(path) in row.problem
    assert row.instruction == ""


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert "No such file" in read_row("k", tmp_path / "gone.mcap", ()).problem


def test_every_byte_that_is_another_leaves_a_row(tmp_path: Path) -> None:
    path = write_goal(tmp_path)
    data = path.read_bytes()
    assert DEPTH_TOPIC.encode() not in data
    for place in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        row = read_row("k", path, ())
        assert row.problem or row.instruction
