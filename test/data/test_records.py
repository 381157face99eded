"""Records as a dataset: what a verdict makes of a goal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import SIZE, box, image
from fakes import ABSENT, AMBIGUOUS, FINISH, SEGMENT, SEGMENT_LEFT, FakePolicy, FakeSegmenter

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.records.record import Record, Verdict
from rsagent_ros.records.writer import RecordWriter

OTHER = box(5, 5, 15, 15)


def trace(goal_id: str, *script: str) -> Trace:
    episode = Episode(image(), "the thing", FakeSegmenter(), goal_id=goal_id)
    drive(episode, FakePolicy(script))
    return episode.trace


def verdict(goal_id: str, *, accepted: bool = False, stamp_ns: int = 1, **more: object) -> Verdict:
    return Verdict(goal_id, "operator", accepted, stamp_ns=stamp_ns, **more)  # type: ignore[arg-type]


def write(folder: Path, goal_id: str, *verdicts: Verdict, script: tuple[str, ...] = (SEGMENT, FINISH)) -> Path:
    depth = np.full(SIZE, np.nan, np.float32)
    record = Record(goal_id, 1_000 + len(goal_id), "front", image(), trace(goal_id, *script), depth, verdicts=verdicts)
    return RecordWriter(folder).write(record)


def listed(folder: Path) -> dict[str, ExampleRef | Skipped]:
    return {one.id: one for one in list_examples(Dataset("records", str(folder)))}


def test_what_verdicts_make_true(tmp_path: Path) -> None:
    write(tmp_path, "accepted", verdict("accepted", accepted=True))
    write(tmp_path, "absent-accepted", verdict("absent-accepted", accepted=True), script=(ABSENT,))
    asked = (SEGMENT, SEGMENT_LEFT, AMBIGUOUS)
    write(tmp_path, "asked", verdict("asked", accepted=True), script=asked)
    write(tmp_path, "corrected", verdict("corrected", mask=OTHER))
    write(tmp_path, "absent", verdict("absent", absent=True))
    newest = verdict("changed", absent=True, stamp_ns=9), verdict("changed", accepted=True, stamp_ns=5)
    write(tmp_path, "changed", *newest)
    for name, stamp_ns in (("at-once", 7), ("no-clock", 0)):  # the last of equals counts
        said = verdict(name, accepted=True, stamp_ns=stamp_ns), verdict(name, absent=True, stamp_ns=stamp_ns)
        write(tmp_path, name, *said)
    truths = {name: one.load() for name, one in listed(tmp_path).items() if isinstance(one, ExampleRef)}
    assert {name: (str(one.expected), len(one.masks)) for name, one in truths.items()} == {
        "accepted": ("found", 1),
        "absent-accepted": ("not_in_view", 0),
        "asked": ("ambiguous", 2),
        "corrected": ("found", 1),
        "absent": ("not_in_view", 0),
        "changed": ("not_in_view", 0),
        "at-once": ("not_in_view", 0),
        "no-clock": ("not_in_view", 0),
    }
    answered = trace("accepted", SEGMENT, FINISH).mask(1)
    assert answered is not None
    assert (truths["accepted"].masks[0] == answered).all()
    assert (truths["corrected"].masks[0] == OTHER).all()
    assert truths["accepted"].category == "front"
    assert "NaN" in truths["accepted"].remarks[0]


def test_only_masks_of_the_agent_itself_are_marked_as_self_judged(tmp_path: Path) -> None:
    write(tmp_path, "accepted", verdict("accepted", accepted=True))
    write(tmp_path, "asked", verdict("asked", accepted=True), script=(SEGMENT, SEGMENT_LEFT, AMBIGUOUS))
    write(tmp_path, "absent-accepted", verdict("absent-accepted", accepted=True), script=(ABSENT,))
    write(tmp_path, "corrected", verdict("corrected", mask=OTHER))
    write(tmp_path, "absent", verdict("absent", absent=True))
    both = verdict("corrected-later", accepted=True), verdict("corrected-later", mask=OTHER, stamp_ns=2)
    write(tmp_path, "corrected-later", *both)
    found = [one.load() for one in listed(tmp_path).values() if isinstance(one, ExampleRef)]
    assert {one.id for one in found if one.self_judged} == {"accepted", "asked"}
    assert len(found) == 6


def test_without_a_truth_a_record_is_left_out_and_that_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, "unjudged")
    write(tmp_path, "rejected", verdict("rejected"))
    for one, reason in zip(listed(tmp_path).values(), ("rejected", "nobody"), strict=True):
        assert isinstance(one, Skipped)
        assert not one.fault
        assert reason in one.reason


def test_a_failure_that_was_accepted_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "odd", verdict("odd", accepted=True), script=("no call",) * 8)
    (one,) = listed(tmp_path).values()
    assert isinstance(one, Skipped)
    assert one.fault
    assert "gave_up" in one.reason


def test_the_instruction_and_the_image_are_those_of_the_goal(tmp_path: Path) -> None:
    write(tmp_path, "a", verdict("a", absent=True))
    (one,) = listed(tmp_path).values()
    assert isinstance(one, ExampleRef)
    example = one.load()
    assert example.instruction == "the thing"
    assert (example.image == image()).all()


def test_a_file_that_is_no_record_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    broken = write(tmp_path, "broken", verdict("broken", absent=True))
    write(tmp_path, "whole", verdict("whole", absent=True))
    broken.write_bytes(broken.read_bytes()[:100])
    found = list(list_examples(Dataset("records", str(tmp_path))))
    assert [one.id for one in found if isinstance(one, ExampleRef)] == ["whole"]
    faults = [one for one in found if isinstance(one, Skipped) and one.fault]
    assert any(broken.name in one.reason for one in faults)


def test_no_records(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(list_examples(Dataset("records", str(tmp_path / "none"))))
