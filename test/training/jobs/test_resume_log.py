"""The log: what is added is there after a kill, and results of other settings are not mixed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsagent_training.jobs.resume_log import ResumeLog

SETTINGS = {"seed": 1, "teacher": "expert"}


def test_what_is_added_is_found_again(tmp_path: Path) -> None:
    log = ResumeLog(tmp_path / "new" / "log.jsonl", SETTINGS)
    log.add(b'{"a": 1}\n')
    log.add(b'{"b": 2}\n')
    again = ResumeLog(tmp_path / "new" / "log.jsonl", SETTINGS)
    assert [line for _, line in again.lines()] == [b'{"a": 1}\n', b'{"b": 2}\n']
    assert [again.at(place) for place, _ in again.lines()] == [b'{"a": 1}\n', b'{"b": 2}\n']


def test_a_line_that_a_kill_cut_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    ResumeLog(path, SETTINGS).add(b'{"a": 1}\n')
    with path.open("ab") as file:
        file.write(b'{"b": ')
    log = ResumeLog(path, SETTINGS)
    log.add(b'{"c": 3}\n')
    assert [line for _, line in log.lines()] == [b'{"a": 1}\n', b'{"c": 3}\n']


@pytest.mark.parametrize("begun", [b"", b'{"seed": '])
def test_a_journal_that_was_killed_in_its_first_line_begins_anew(tmp_path: Path, begun: bytes) -> None:
    (tmp_path / "log.jsonl").write_bytes(begun)
    assert list(ResumeLog(tmp_path / "log.jsonl", SETTINGS).lines()) == []


def test_results_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    ResumeLog(tmp_path / "log.jsonl", SETTINGS)
    with pytest.raises(ValueError, match=r"log\.jsonl was begun with seed 1, now it is 2; use the same settings"):
        ResumeLog(tmp_path / "log.jsonl", SETTINGS | {"seed": 2})
