"""`rsagent view`: what was recorded, as one page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from recorded import STAMP, recorded

from rsagent_ros.cli import main
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import RecordWriter


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Three goals, the first one judged, the second one seen through a camera with a name."""
    folder = tmp_path / "records"
    writer = RecordWriter(folder, Limits(free_megabytes=0))
    first = writer.write(recorded(goal_id="first"))
    writer.add_verdict(first, Verdict("first", "operator", accepted=False, absent=True, note="<b>the other one</b>"))
    writer.write(recorded(goal_id="second", stamp_ns=STAMP + 10**9, camera="wrist"))
    writer.write(recorded(goal_id="third", stamp_ns=STAMP + 2 * 10**9))
    return folder


def view(*arguments: object) -> int:
    return main(["view", *map(str, arguments)])


def test_all_goals_with_their_verdicts_on_one_page(records: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert view(records, "--out", page) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count('<details class="goal"') == 3
    assert "3 goals of" in text
    assert "rejected, absent by operator: &lt;b&gt;the other one&lt;/b&gt;" in text
    assert "wrist" in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)


def test_one_record_or_one_goal(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    (file,) = records.rglob("*_second.mcap")
    assert view(file, "--out", page) == 0
    assert page.read_text(encoding="utf-8").count('<details class="goal"') == 1
    assert view(records, "--out", page, "--goal", "third") == 0
    assert "third" in page.read_text(encoding="utf-8")
    assert view(records, "--out", page, "--most", 2) == 0
    assert "2 goal(s); there are more (--most)" in capsys.readouterr().out


def test_without_a_name_the_page_is_beside_the_records(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (file,) = records.rglob("*_second.mcap")
    assert view(records) == view(file) == 0
    assert list(elsewhere.iterdir()) == []
    assert capsys.readouterr().out.splitlines() == [
        f"{records / 'records.html'}: 3 goal(s)", f"{file.with_suffix('.html')}: 1 goal(s)",
    ]  # fmt: skip
    assert (records / "records.html").read_text(encoding="utf-8").count('<details class="goal"') == 3
    assert file.with_suffix(".html").is_file()


def test_a_page_that_can_not_be_written_is_told(
    records: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert view(records, "--out", tmp_path / "none" / "page.html") == 1
    assert "name another file with --out" in caplog.messages[-1]


def test_what_can_not_be_read_is_told(records: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (file,) = records.rglob("*_second.mcap")
    file.write_bytes(file.read_bytes()[:100])
    assert view(records, "--out", tmp_path / "page.html") == 3
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count('<details class="goal"') == 2
    assert any(str(file) in line for line in caplog.messages)
    assert view(records, "--out", tmp_path / "none.html", "--goal", "fourth") == 1
    assert "no record of goal 'fourth'" in caplog.messages[-1]
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize("arguments", [("nowhere",), ("RECORDS", "--most", "0")])
def test_bad_usage(records: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        view(*(records if word == "RECORDS" else word for word in arguments))
    assert ended.value.code == 2
