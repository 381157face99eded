"""The goals of a folder, and the storing of verdicts."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import ABSENT, POLICY_SCRIPTS
from labelling import picture, write_goal

from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.label.goal_row import GoalRow
from rsagent_ros.label.goal_store import KEPT, GoalStore, UnknownGoalError
from rsagent_ros.records.reader import RecordError, read_record
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.record_messages import IMAGE_TOPIC, entries
from rsagent_ros.records.writer import add_verdict, encode, verdict_files
from rsagent_training.collect import collect
from rsagent_training.scene_index import SceneIndex

FAR_AHEAD = 2_000_000_000_000_000_000
"""Nanoseconds: a robot whose clock is years ahead of the laptop's."""


def rows(goals: GoalStore) -> dict[str, GoalRow]:
    """All rows by the names of their files without stamps."""
    return {row.key.partition("_")[2].removesuffix(".mcap"): row for row in goals.rows(60.0).rows}


def test_what_is_stored_is_the_truth_that_evaluation_and_training_read(tmp_path: Path) -> None:
    records = tmp_path / "records"
    image, (thing, *_) = picture(1)
    for name, script in {
        "accepted": POLICY_SCRIPTS["instant"],
        "asked": POLICY_SCRIPTS["ambiguous"],
        "nothing": (ABSENT,),
        "absent": POLICY_SCRIPTS["instant"],
        "corrected": POLICY_SCRIPTS["instant"],
        "rejected": POLICY_SCRIPTS["instant"],
        "unjudged": POLICY_SCRIPTS["instant"],
    }.items():
        write_goal(records, name, script=script, image=image, instruction=f"the {thing.shape}")
    goals = GoalStore(records)
    keys = {name: row.key for name, row in rows(goals).items()}
    for name in ("accepted", "asked", "nothing"):
        goals.judge(keys[name], "accept")
    goals.judge(keys["absent"], "absent")
    goals.judge(keys["rejected"], "reject")
    goals.judge(keys["corrected"], "correct", f"the {thing.colour} one", [encode_rle(thing.mask)])

    listings = list(list_examples(Dataset("records", str(records))))
    truths = {one.id: one.load() for one in listings if isinstance(one, ExampleRef)}
    assert {name: truth.expected for name, truth in truths.items()} == {
        "accepted": Outcome.FOUND,
        "asked": Outcome.AMBIGUOUS,
        "nothing": Outcome.NOT_IN_VIEW,
        "absent": Outcome.NOT_IN_VIEW,
        "corrected": Outcome.FOUND,
    }
    assert (truths["corrected"].masks[0] == thing.mask).all()
    assert {one.id for one in listings if isinstance(one, Skipped)} == {"rejected", "unjudged"}

    collect(listings, tmp_path / "scenes")
    scenes = SceneIndex(tmp_path / "scenes")
    assert (scenes["corrected"].masks[0] == thing.mask).all()
    assert scenes["absent"].expected is Outcome.NOT_IN_VIEW
    assert scenes["corrected"].instruction == f"the {thing.shape}"
    assert "rejected" not in scenes


def test_rows_say_what_was_said(tmp_path: Path) -> None:
    write_goal(tmp_path, "a", instruction="the mug")
    write_goal(tmp_path, "b", Verdict("b", "grasp", accepted=True, stamp_ns=1), script=(ABSENT,))
    goals = GoalStore(tmp_path)
    known = rows(goals)
    assert (known["a"].day, known["a"].time, known["a"].instruction) == ("2025-11-21", "14:35:12", "the mug")
    assert (known["a"].outcome, known["a"].state, known["a"].judged) == (Outcome.FOUND, "", False)
    assert (known["b"].outcome, known["b"].state, known["b"].judged) == (Outcome.NOT_IN_VIEW, "accepted", False)
    row = goals.judge(known["b"].key, "reject")
    assert (row.state, row.judged) == ("rejected", True)
    assert rows(goals)["b"] == row


def test_the_verdict_that_is_given_last_counts_whatever_the_clocks_say(tmp_path: Path) -> None:
    path = write_goal(tmp_path, "a", Verdict("a", "grasp", accepted=True, stamp_ns=FAR_AHEAD))
    goals = GoalStore(tmp_path)
    (row,) = goals.rows(60.0).rows
    assert goals.judge(row.key, "reject").state == "rejected"
    assert goals.judge(row.key, "absent").state == "absent"
    stamps = [verdict.stamp_ns for verdict in read_record(path).verdicts]
    assert stamps == [FAR_AHEAD, FAR_AHEAD + 1, FAR_AHEAD + 2]


def test_verdicts_are_stamped_with_the_time(tmp_path: Path) -> None:
    path = write_goal(tmp_path)
    before = time.time_ns()
    GoalStore(path).judge(path.name, "accept")
    assert before <= read_record(path).verdicts[-1].stamp_ns <= time.time_ns()


def test_the_same_said_twice_is_stored_once(tmp_path: Path) -> None:
    path = write_goal(tmp_path)
    goals = GoalStore(tmp_path)
    (row,) = goals.rows(60.0).rows
    for judgement in ("accept", "accept", "reject", "accept"):
        goals.judge(row.key, judgement, "a note")
    assert [verdict.accepted for verdict in read_record(path).verdicts] == [True, False, True]


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    path = write_goal(tmp_path)
    goals = GoalStore(tmp_path)
    (row,) = goals.rows(60.0).rows
    pages = [
        threading.Thread(target=lambda number=number: goals.judge(row.key, "reject", f"note {number}"))
        for number in range(12)
    ]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    verdicts = read_record(path).verdicts
    assert sorted(verdict.note for verdict in verdicts) == sorted(f"note {number}" for number in range(12))
    assert len({verdict.stamp_ns for verdict in verdicts}) == 12


def test_what_others_write_is_seen(tmp_path: Path) -> None:
    first = write_goal(tmp_path, "a")
    goals = GoalStore(tmp_path)
    listed = goals.rows(60.0)
    assert goals.rows(60.0) == listed
    key = listed.rows[0].key
    assert goals.open(key).record.verdicts == ()
    add_verdict(first, Verdict("a", "operator", accepted=True, stamp_ns=1))
    newer = goals.rows(60.0)
    assert newer.version != listed.version
    assert newer.rows[0].state == "accepted"
    assert len(goals.open(key).record.verdicts) == 1
    write_goal(tmp_path, "b")
    assert rows(goals).keys() == {"a", "b"}
    first.unlink()
    assert rows(goals).keys() == {"b"}
    for judge in (lambda: goals.open(key), lambda: goals.judge(key, "accept")):
        with pytest.raises(UnknownGoalError, match="any more"):
            judge()


def test_the_list_is_read_little_by_little(tmp_path: Path) -> None:
    for number in range(3):
        write_goal(tmp_path, f"g{number}")
    goals = GoalStore(tmp_path)
    assert (goals.rows(0.0).rows, goals.rows(0.0).left) == ((), 3)
    assert goals.rows(60.0).left == 0
    assert len(goals.rows(0.0).rows) == 3


def test_one_file_is_judged_alone(tmp_path: Path) -> None:
    write_goal(tmp_path, "a")
    path = write_goal(tmp_path, "b")
    goals = GoalStore(path)
    (row,) = goals.rows(60.0).rows
    assert goals.judge(row.key, "accept").judged
    assert len(read_record(path).verdicts) == 1


@pytest.mark.parametrize("name", ["", "none", "empty"])
def test_no_records(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="there are no records"):
        GoalStore(tmp_path / name)


def test_keys_are_not_paths(tmp_path: Path) -> None:
    secret = write_goal(tmp_path / "elsewhere")
    write_goal(tmp_path / "records")
    goals = GoalStore(tmp_path / "records")
    for key in ("../" + secret.relative_to(tmp_path).as_posix(), str(secret), "", ".", "x\0y"):
        with pytest.raises(UnknownGoalError, match="there is no record"):
            goals.open(key)
        with pytest.raises(UnknownGoalError, match="there is no record"):
            goals.judge(key, "accept")
    assert verdict_files(secret) == []


def test_a_file_that_is_no_record_is_told_and_the_rest_works(tmp_path: Path) -> None:
    write_goal(tmp_path, "whole")
    broken = write_goal(tmp_path, "broken")
    broken.write_bytes(broken.read_bytes()[:300])
    (broken.parent / "x_empty.mcap").touch()
    (broken.parent / "x_rubbish.mcap").write_bytes(os.urandom(5_000))
    (broken.parent / "x_folder.mcap").mkdir()
    goals = GoalStore(tmp_path)
    known = rows(goals)
    assert known.keys() == {"whole", "broken", "empty", "rubbish"}
    for name in ("broken", "empty", "rubbish"):
        assert name in known[name].problem
        with pytest.raises(RecordError, match=name):
            goals.open(known[name].key)
        with pytest.raises(RecordError, match=name):
            goals.judge(known[name].key, "reject")
    assert goals.judge(known["whole"].key, "accept").judged


def test_a_record_that_is_cut_behind_its_image_can_be_judged(tmp_path: Path) -> None:
    path = write_goal(tmp_path, "cut")
    path.write_bytes(path.read_bytes()[:-20])
    goals = GoalStore(tmp_path)
    row = rows(goals)["cut"]
    assert row.problem == ""
    assert "cut at byte" in goals.open(row.key).complaints[0]
    assert goals.judge(row.key, "reject").judged


def test_a_record_whose_image_is_broken_is_known_for_it_once_it_was_opened(tmp_path: Path) -> None:
    path = write_goal(tmp_path, "dark")
    messages = list(entries(read_record(path)))
    (image,) = (entry.message for entry in messages if entry.topic == IMAGE_TOPIC)
    image.data = np.zeros(50, np.uint8)
    path.write_bytes(encode(messages))
    goals = GoalStore(tmp_path)
    row = rows(goals)["dark"]
    assert row.problem == ""
    with pytest.raises(RecordError, match="can't be decoded"):
        goals.open(row.key)
    assert "can't be decoded" in rows(goals)["dark"].problem


def test_a_verdict_that_is_damaged_is_told_and_its_goal_can_be_judged(tmp_path: Path) -> None:
    path = write_goal(tmp_path, "a")
    add_verdict(path, Verdict("a", "operator", accepted=True, stamp_ns=1))
    (file,) = verdict_files(path)
    file.write_bytes(file.read_bytes()[:60])
    goals = GoalStore(tmp_path)
    row = rows(goals)["a"]
    assert (row.problem, row.state, row.judged) == ("", "", False)
    assert any(file.name in sentence for sentence in goals.open(row.key).complaints)
    assert goals.judge(row.key, "reject").state == "rejected"
    assert len(verdict_files(path)) == 2


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = write_goal(tmp_path)
    odd = path.with_name(os.fsdecode(b"caf\xe9.mcap"))
    try:
        path.rename(odd)
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    goals = GoalStore(tmp_path)
    (row,) = goals.rows(60.0).rows
    row.key.encode()
    assert goals.judge(row.key, "accept").judged
    assert len(read_record(odd).verdicts) == 1


def test_only_few_images_are_held(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        write_goal(tmp_path, f"g{number}")
    goals = GoalStore(tmp_path)
    keys = [row.key for row in goals.rows(60.0).rows]
    opened = [goals.open(key) for key in keys]
    assert goals.open(keys[-1]) is opened[-1]
    assert goals.open(keys[0]) is not opened[0]


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A goal on a file system that takes nothing more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here: root is needed")
    try:
        write_goal(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, capture_output=True)
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_is_read_only_says_what_to_do(read_only: Path) -> None:
    goals = GoalStore(read_only)
    (row,) = goals.rows(60.0).rows
    assert "is read-only" in goals.open(row.key).complaints[0]
    with pytest.raises(OSError, match=r"not stored.*Read-only file system.*copy the records"):
        goals.judge(row.key, "accept")
    assert not goals.rows(60.0).rows[0].judged


def test_a_disk_that_is_full_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_goal(tmp_path)
    goals = GoalStore(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"not stored: .*No space left.*make room"):
        goals.judge(path.name, "accept")
    monkeypatch.undo()
    assert verdict_files(path) == []
    assert goals.judge(path.name, "accept").judged
