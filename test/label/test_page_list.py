"""The list on the page in a real browser: filtered, as long as there is more, with damaged records, on two pages."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from browser import Browser, Page
from fakes import ABSENT
from label_page import goals, shows
from labelling import serving, write_goal

from rsagent_ros.label.goal_store import GoalList, GoalStore
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import record_files


def test_the_list_is_filtered_and_keeps_count(browser: Browser, records: Path) -> None:
    write_goal(records, "g0", instruction="the red mug")
    write_goal(records, "g1", instruction="the blue cup", script=(ABSENT,))
    write_goal(records, "g2", Verdict("g2", "operator", accepted=True, stamp_ns=1), instruction="the red box")
    write_goal(records, "g3", instruction="a plate", stamp_ns=1_763_900_000_000_000_000)
    shown = "[...document.querySelectorAll('#rows .words')].map((one) => one.textContent).join()"

    def choose(page: Page, name: str, value: str) -> None:
        page.run(f"document.querySelector('#{name}').value = {json.dumps(value)}")
        page.run(f"document.querySelector('#{name}').dispatchEvent(new Event({json.dumps('change')}))")

    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "the red mug")
        assert page.run(shown) == "the red mug,the blue cup,a plate"
        page.click("[data-which=all]")
        assert page.run(shown) == "the red mug,the blue cup,the red box,a plate"
        choose(page, "outcome", "not_in_view")
        assert page.run(shown) == "the blue cup"
        assert page.text("#tally") == "0 of 1 judged"
        choose(page, "outcome", "")
        choose(page, "day", "2025-11-23")
        assert page.run(shown) == "a plate"
        choose(page, "day", "")
        page.key("/")
        page.type("RED the")
        assert page.run(shown) == "the red mug,the red box"
        assert page.text("#tally") == "1 of 2 judged"
        page.key("Escape")
        page.key("j")
        shows(page, "the red box")
        page.click("[data-which=done]")
        assert page.run(shown) == "the red box"
        page.key("b")
        shows(page, "the red mug")
        page.close()


def test_the_list_goes_on_where_the_server_has_not_read_all_yet(
    browser: Browser, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = goals(records, 3)
    read = threading.Event()

    def slowly(goals: GoalStore, seconds: float) -> GoalList:
        listed = all_rows(goals, 60.0)
        return listed if read.is_set() else GoalList(listed.rows[:1], 2, listed.version)

    all_rows = GoalStore.rows
    monkeypatch.setattr(GoalStore, "rows", slowly)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "thing 0")
        assert "2 more are being listed" in page.text("#tally")
        page.key("a")
        page.wait("document.querySelector('.verdicts') !== null")
        read.set()
        shows(page, "thing 1")
        read.clear()  # as a server that was started again
        page.run("import(location.pathname + 'list.js').then((list) => list.show([], 3))")
        page.key("r")
        shows(page, "thing 2")
        page.close()
    assert [len(read_record(path).verdicts) for path in paths] == [1, 1, 0]


def test_two_pages_at_once_lose_nothing_and_see_each_other(browser: Browser, records: Path) -> None:
    paths = goals(records, 3)
    profile = browser.profile()
    with serving(records) as server:
        one, other = (browser.page(server.address.url, profile) for _ in range(2))
        for page in (one, other):
            shows(page, "thing 0")
        one.key("a")
        shows(one, "thing 1")
        other.wait("document.querySelector('.verdicts')?.textContent.includes('accepted')")
        other.key("r")
        shows(other, "thing 1")
        other.key("x")
        one.wait("document.querySelector('.verdicts')?.textContent.includes('absent')")
        for page in (one, other):
            page.wait("document.querySelector('#tally').textContent === '2 of 3 judged'")
            page.close()
    given = [[(verdict.accepted, verdict.absent) for verdict in read_record(path).verdicts] for path in paths]
    assert given == [[(True, False), (False, False)], [(False, True)], []]


def test_damaged_records_are_told_and_the_rest_is_judged(browser: Browser, records: Path) -> None:
    paths = goals(records, 3)
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    paths[1].write_bytes(paths[1].read_bytes()[:-20])
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "thing 1")
        assert page.text("#tally") == "0 of 2 judged, 1 can't be read"
        assert "cut at byte" in page.text("#asked .warn")
        page.key("a")
        shows(page, "thing 2")
        page.click("[data-which=all]")
        page.run("document.querySelector('#rows li').click()")
        page.wait("document.querySelector('#empty').textContent.includes('not a record')")
        assert page.run("[...document.querySelectorAll('[data-judgement]')].every((one) => one.disabled)")
        page.close()
    assert len(read_record(paths[1]).verdicts) == 1
    assert len(record_files(records)) == 3
