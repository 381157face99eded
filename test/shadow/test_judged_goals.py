"""Which goals are judged, and what is true of them, while records and verdicts come and go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recorded import STAMP
from shadow_cases import judged, middle, write_goals

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.ref import ExampleRef, Skipped
from rsagent_ros.datasets import Dataset
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import add_verdict
from rsagent_ros.shadow import judged_goals as module
from rsagent_ros.shadow.judged_goals import JudgedGoals, source


def test_the_newest_judged_goals(tmp_path: Path) -> None:
    write_goals(tmp_path, 3)
    judged(tmp_path, "unknown", Verdict("unknown", "grasp", False), stamp_ns=STAMP + 10**9 * 9)
    goals = JudgedGoals(tmp_path)
    assert [goal.id for goal in goals.look()] == ["g002", "g001", "g000"]
    assert [goal.id for goal in JudgedGoals(tmp_path, most=2).look()] == ["g002", "g001"]
    example = goals.look()[0].load()
    assert (example.masks[0] == middle()).all()
    assert example.source == source(goals.look()[0].truth)


def test_files_are_read_once_and_again_when_a_verdict_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = module.list_examples

    def counted(dataset: Dataset) -> Iterator[ExampleRef | Skipped]:
        read.append(Path(dataset.path).name)
        return original(dataset)

    monkeypatch.setattr(module, "list_examples", counted)
    first, second = write_goals(tmp_path, 2)
    goals = JudgedGoals(tmp_path)
    before = {goal.id: goal for goal in goals.look()}
    goals.look()
    assert read == [second.name, first.name]
    add_verdict(first, Verdict("g000", "operator", False, absent=True, stamp_ns=2))
    after = {goal.id: goal for goal in goals.look()}
    assert read == [second.name, first.name, first.name]
    assert after["g000"].truth != before["g000"].truth
    assert after["g001"].truth == before["g001"].truth
    assert after["g000"].load().expected is Outcome.NOT_IN_VIEW
    with pytest.raises(ValueError, match="has changed"):
        before["g000"].load()


def test_a_goal_that_was_removed_is_gone(tmp_path: Path) -> None:
    first, _ = write_goals(tmp_path, 2)
    goals = JudgedGoals(tmp_path)
    gone = goals.look()[1]
    first.unlink()
    assert [goal.id for goal in goals.look()] == ["g001"]
    with pytest.raises(ValueError, match="g000"):
        gone.load()


def test_a_damaged_record_is_passed_over(tmp_path: Path) -> None:
    first, _ = write_goals(tmp_path, 2)
    first.write_bytes(first.read_bytes()[:200])
    assert [goal.id for goal in JudgedGoals(tmp_path).look()] == ["g001"]


def test_it_can_be_broken_off(tmp_path: Path) -> None:
    write_goals(tmp_path, 3)
    answers = iter([False, True])
    goals = JudgedGoals(tmp_path)
    assert len(goals.look(lambda: next(answers))) == 1
    assert len(goals.look()) == 3


def test_without_records_there_are_none(tmp_path: Path) -> None:
    assert JudgedGoals(tmp_path / "none").look() == []


def test_another_mask_is_another_truth(tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.bool_)
    mask[0, 0] = True
    one = judged(tmp_path / "a", "g", Verdict("g", "operator", False, mask=mask))
    two = judged(tmp_path / "b", "g")
    hashes = {JudgedGoals(path.parent).look()[0].truth for path in (one, two)}
    assert len(hashes) == 2
