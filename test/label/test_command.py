"""`rsagent label` as a process: its address, its end, and what a kill leaves."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.client import HTTPException
from pathlib import Path

import pytest
from labelling import LabelProcess, ask, write_goal

from rsagent_ros.cli import main
from rsagent_ros.records.reader import read_record, read_records


def test_a_verdict_that_was_confirmed_outlives_the_server(tmp_path: Path) -> None:
    path = write_goal(tmp_path / "records")
    with LabelProcess(tmp_path / "records", tmp_path / "state") as server:
        key = ask(server.url, "goals")[1]["rows"][0]["record"]
        assert ask(server.url, "verdict", {"record": key, "judgement": "reject", "note": "the other one"})[0] == 200
        server.kill()
    (verdict,) = read_record(path).verdicts
    assert (verdict.accepted, verdict.note) == (False, "the other one")


def test_a_kill_at_any_moment_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    records = tmp_path / "records"
    write_goal(records, "a")
    confirmed: list[str] = []
    with LabelProcess(records, tmp_path / "state") as server:
        (row,) = ask(server.url, "goals")[1]["rows"]
        many = threading.Event()

        def judge() -> None:
            for number in range(100_000):
                body = {"record": row["record"], "judgement": "reject", "note": str(number)}
                try:
                    if ask(server.url, "verdict", body)[0] != 200:
                        return
                except (OSError, HTTPException):
                    return  # killed
                confirmed.append(str(number))
                if number == 25:
                    many.set()

        page = threading.Thread(target=judge)
        page.start()
        assert many.wait(60)
        server.kill()
        page.join()
    told: list[str] = []
    (record,) = read_records(records, told.append)
    notes = [verdict.note for verdict in record.verdicts]
    assert notes[: len(confirmed)] == confirmed
    assert len(notes) <= len(confirmed) + 1, "at most the one on its way was stored without an answer"
    assert told == []


def test_after_a_restart_the_page_is_where_it_was(tmp_path: Path) -> None:
    write_goal(tmp_path / "records")
    write_goal(tmp_path / "others")
    urls = []
    for folder in ("records", "records", "others"):
        with LabelProcess(tmp_path / folder, tmp_path / "state") as server:
            urls.append(server.url)
    assert urls[0] == urls[1]
    assert urls[2].split("/")[3] != urls[0].split("/")[3]


def test_the_port_can_be_chosen(tmp_path: Path) -> None:
    write_goal(tmp_path / "records")
    with LabelProcess(tmp_path / "records", tmp_path / "state", "--port", "0") as server:
        assert ask(server.url, "goals")[0] == 200


def test_records_that_are_served_already_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_goal(tmp_path / "records")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with LabelProcess(tmp_path / "records", tmp_path / "state"):
        assert main(["label", str(tmp_path / "records"), "--no-browser"]) == 1
    assert "may be served already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "nowhere: there are no records"),
        (["."], "there are no records"),
        (["records", "--port", "70000"], "--port 70000: use 1 to 65535"),
        (["records", "--port", "-1"], "--port -1"),
    ],
)
def test_bad_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    why: str,
) -> None:
    write_goal(tmp_path / "elsewhere/records")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(SystemExit) as end:
        main(["label", *arguments])
    assert end.value.code == 2
    assert why in capsys.readouterr().err


def test_neither_ros_nor_torch_is_needed() -> None:
    code = (
        "import sys, rsagent_ros.label.command, rsagent_ros.label.server\n"
        "print([name for name in ('rclpy', 'torch', 'transformers') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
