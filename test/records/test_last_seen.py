"""`last_seen`: the newest record in which an object was found, and what verdicts make of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import POLICY_SCRIPTS
from recorded import CAMERA, STAMP, recorded

from rsagent_ros.records.last_seen import last_seen
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import RecordWriter, add_verdict

MINUTE = 60_000_000_000


@pytest.fixture
def writer(tmp_path: Path) -> RecordWriter:
    return RecordWriter(tmp_path / "records", Limits(free_megabytes=0))


def write(writer: RecordWriter, instruction: str, minute: int, script: str = "instant", **fields: Any) -> Path:
    """The file of a goal with these words, asked so many minutes after the first."""
    record = recorded(POLICY_SCRIPTS[script], goal_id=f"goal-{minute}", stamp_ns=STAMP + minute * MINUTE, **fields)
    return writer.write(replace(record, trace=replace(record.trace, instruction=instruction)))


def test_the_newest_that_has_all_words_counts(writer: RecordWriter) -> None:
    for minute, words in enumerate(["the red mug", "a red mug on the table", "the blue mug", "the red box"]):
        write(writer, words, minute)
    sighting = last_seen("my red mug", writer.folder)
    assert sighting is not None
    assert sighting.record.goal_id == "goal-1"
    assert sighting.record.stamp_ns == STAMP + MINUTE
    assert int(sighting.mask.sum()) == 32 * 24
    assert (sighting.position, sighting.confirmed) == (None, False)
    assert last_seen("the green mug", writer.folder) is None
    assert last_seen("the red mug", writer.folder, most=2) is None


@pytest.mark.parametrize("script", ["absent", "ambiguous", "never_ends", "raises"])
def test_only_what_was_found_was_seen(writer: RecordWriter, script: str) -> None:
    write(writer, "the red mug", 0)
    write(writer, "the red mug", 1, script)
    sighting = last_seen("the red mug", writer.folder)
    assert sighting is not None
    assert sighting.record.goal_id == "goal-0"


def test_a_rejected_answer_was_not_it_but_a_corrected_mask_is(writer: RecordWriter) -> None:
    write(writer, "the red mug", 0)
    file = write(writer, "the red mug", 1)
    add_verdict(file, Verdict("goal-1", "operator", accepted=False, stamp_ns=1))
    sighting = last_seen("the red mug", writer.folder)
    assert sighting is not None
    assert sighting.record.goal_id == "goal-0"
    right = np.zeros((48, 64), np.bool_)
    right[:5, :5] = True
    add_verdict(file, Verdict("goal-1", "operator", accepted=False, mask=right, stamp_ns=2))
    sighting = last_seen("the red mug", writer.folder)
    assert sighting is not None
    assert (sighting.record.goal_id, int(sighting.mask.sum()), sighting.confirmed) == ("goal-1", 25, True)


def test_with_depth_it_is_somewhere(writer: RecordWriter) -> None:
    write(writer, "the red mug", 0, depth=np.full((48, 64), 0.8, np.float32), camera_info=CAMERA, frame_id="eye")
    sighting = last_seen("the red mug", writer.folder)
    assert sighting is not None
    assert sighting.position is not None
    assert sighting.position[2] == pytest.approx(0.8, abs=0.05)
    assert sighting.record.frame_id == "eye"


def test_damaged_records_are_told_and_passed_over(writer: RecordWriter) -> None:
    write(writer, "the red mug", 0)
    write(writer, "the red mug", 1).write_bytes(b"not a record")
    told: list[str] = []
    sighting = last_seen("the red mug", writer.folder, told.append)
    assert sighting is not None
    assert sighting.record.goal_id == "goal-0"
    assert "not a record" in told[-1]


def test_nothing_to_look_for_and_nowhere_to_look(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'the' names no object"):
        last_seen("the", tmp_path)
    with pytest.raises(FileNotFoundError, match="there are no records"):
        last_seen("the red mug", tmp_path)
