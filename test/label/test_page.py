"""The page in a real browser: real keys, real clicks, a server that dies."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Browser
from fakes import ABSENT, FINISH, SEGMENT
from label_page import READY, click_on, drawn, goals, shows
from labelling import LabelProcess, picture, serving, write_goal

from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import add_verdict

HOSTILE = (
    "</p></script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<svg onload=\"document.title='owned'\">"
)
LONG = " ".join(["a very long instruction"] * 8)


def test_verdicts_by_key_and_by_click_are_in_the_records(browser: Browser, records: Path) -> None:
    paths = goals(records, 4)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "thing 0")
        assert page.text("#tally") == "0 of 4 judged"
        page.key("a")
        shows(page, "thing 1")
        page.key("n")
        page.type("the one behind it, a")
        page.key("Escape")
        page.key("r")
        shows(page, "thing 2")
        assert page.run("document.querySelector('#note').value") == ""
        page.click("[data-judgement=absent]")
        shows(page, "thing 3")
        assert page.text("#tally") == "3 of 4 judged"
        page.click("[data-judgement=accept]")
        page.wait("document.querySelector('#tally').textContent === '4 of 4 judged'")
        page.close()
    given = [read_record(path).verdicts for path in paths]
    assert [len(verdicts) for verdicts in given] == [1, 1, 1, 1]
    assert [verdicts[0].accepted for verdicts in given] == [True, False, False, True]
    assert [verdicts[0].absent for verdicts in given] == [False, False, True, False]
    assert [verdicts[0].note for verdicts in given] == ["", "the one behind it, a", "", ""]


def test_text_from_outside_is_text(browser: Browser, records: Path) -> None:
    thought = SEGMENT.replace("The middle.", HOSTILE)
    verdict = Verdict("x", "grasp", accepted=False, note=HOSTILE, stamp_ns=1)
    write_goal(records, "x", verdict, script=(HOSTILE, thought, FINISH), instruction=HOSTILE)
    write_goal(
        records, "y", script=(ABSENT.replace("there is nothing", HOSTILE.replace('"', "'")),), instruction=HOSTILE
    )
    broken = write_goal(records, "z")
    broken.rename(broken.with_name("<img src=x onerror=alert(1)>.mcap")).write_bytes(b"rubbish")
    with serving(records) as server:
        page = browser.page(server.address.url)
        for _ in range(2):
            shows(page, HOSTILE)
            page.wait("document.querySelector('#goal').textContent.split('onerror').length > 2")
            assert page.run("document.title") == "rsagent label"
            assert page.run("document.querySelectorAll('script').length") == 1
            assert page.run("[...document.images].every((one) => new URL(one.src).pathname.endsWith('/turn'))")
            page.key("a")
            page.wait(f"document.querySelector('#asked h2') === null || {READY}")
        page.click("[data-which=all]")
        page.run("document.querySelector('#rows li:last-child').click()")
        page.wait("document.querySelector('#empty').textContent.includes('<img src=x')")
        assert page.run("document.title") == "rsagent label"
        page.close()


def test_the_page_runs_nothing_but_its_own_files(browser: Browser, records: Path) -> None:
    write_goal(records)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        page.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")
        blocked = (
            "new Promise((done) => addEventListener('securitypolicyviolation', (event) => done(event.blockedURI)))"
        )
        inline = (
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 2'}))"
        )
        assert page.run(f"(() => {{ const told = {blocked}; {inline}; return told; }})()") == "inline"
        assert page.run("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
        assert page.run("document.title") == "rsagent label"
        page.close()


def test_the_server_dies_and_comes_back_and_nothing_is_lost(browser: Browser, records: Path, tmp_path: Path) -> None:
    first, second, third = goals(records, 3)
    profile = browser.profile()
    with LabelProcess(records, tmp_path / "state") as server:
        page = browser.page(server.url, profile)
        shows(page, "thing 0")
        page.key("a")
        shows(page, "thing 1")
        server.kill()
        assert len(read_record(first).verdicts) == 1
        page.wait("document.querySelector('#notices .away')?.textContent.includes('The server is away')")
        page.key("n")
        page.type("what was meant")
        page.key("Escape")
        page.key("r")
        page.wait("document.querySelector('#notices .away').textContent.includes('1 verdict waits')")
        assert read_record(second).verdicts == ()
    with LabelProcess(records, tmp_path / "state") as server:
        shows(page, "thing 2")
        page.wait("document.querySelector('#notices .away') === null")
        (verdict,) = read_record(second).verdicts
        assert (verdict.accepted, verdict.note) == (False, "what was meant")
        # ... and now both of them die, with text that was not sent, and a verdict that was not.
        click_on(page, 60, 60)
        page.wait("document.querySelectorAll('#clicks .positive').length > 0")
        page.key("n")
        page.type("half a sentence")
        page.wait("document.querySelector('#note').value === 'half a sentence'")
        server.kill()
        page.wait("document.querySelector('#notices .away') !== null")
        page.run("document.querySelectorAll('#rows li')[0].click()")
        page.close()
    with LabelProcess(records, tmp_path / "state") as server:
        page = browser.page(server.url, profile)
        shows(page, "thing 2")
        assert page.run("document.querySelector('#note').value") == "half a sentence"
        assert page.run("document.querySelectorAll('#clicks .positive').length") > 0
        drawn(page)
        server.kill()
        page.wait("document.querySelector('#notices .away') !== null")
        page.key("s")
        page.wait("document.querySelector('#notices .away').textContent.includes('1 verdict waits')")
        page.close()
    with LabelProcess(records, tmp_path / "state") as server:
        page = browser.page(server.url, profile)
        page.wait("document.querySelector('#tally').textContent === '3 of 3 judged'")
        page.close()
    (verdict,) = read_record(third).verdicts
    assert verdict.note == "half a sentence"
    assert verdict.mask is not None


def test_a_key_that_is_held_down_judges_once(browser: Browser, records: Path) -> None:
    paths = goals(records, 4)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "thing 0")
        page.key("a")
        shows(page, "thing 1")
        for _ in range(5):
            page.key("a", held=True)
        page.key("j")
        shows(page, "thing 2")
        page.close()
    assert [len(read_record(path).verdicts) for path in paths] == [1, 0, 0, 0]


def test_the_keys_are_told_and_large_letters_do_the_same(browser: Browser, records: Path) -> None:
    path = write_goal(records)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        page.key("?")
        page.wait("document.querySelector('#help').open")
        page.key("a")
        page.click("#help button")
        page.wait("!document.querySelector('#help').open")
        page.key("m")
        page.wait("document.querySelector('#picture.bare') !== null")
        page.key("M")
        page.wait("document.querySelector('#picture.bare') === null")
        assert read_record(path).verdicts == ()
        page.key("R")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    assert not read_record(path).verdicts[0].accepted


def test_a_judged_goal_can_be_judged_again_and_its_note_changed(browser: Browser, records: Path) -> None:
    path = write_goal(records)
    add_verdict(path, Verdict("goal-1", "operator", accepted=True, note="as it was", stamp_ns=1))
    with serving(records) as server:
        page = browser.page(server.address.url)
        page.wait("document.querySelector('#empty').textContent === 'All of these goals are judged.'")
        page.click("[data-which=all]")
        shows(page, "the thing")
        assert page.run("document.querySelector('#note').value") == "", (
            "a note belongs to the verdict that it was given with"
        )
        assert page.run("document.querySelector('#keep').hidden")
        page.key("n")
        page.type("better")
        page.click("#keep")
        page.wait("document.querySelectorAll('.verdicts li').length === 2")
        page.wait("document.querySelector('#keep').hidden")
        page.key("r")
        page.wait("document.querySelectorAll('.verdicts li').length === 3")
        page.close()
    given = [(verdict.accepted, verdict.note) for verdict in read_record(path).verdicts]
    assert given == [(True, "as it was"), (True, "better"), (False, "")]


def test_a_verdict_that_can_not_be_stored_waits_and_is_tried_again(
    browser: Browser, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = goals(records, 2)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "thing 0")

        def full(*_: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("rsagent_ros.label.goal_store.add_verdict", full)
        page.key("a")
        page.wait("document.querySelector('#notices .stuck')?.textContent.includes('Read-only file system')")
        assert page.text("#notices .stuck").startswith("1 verdict waits in this browser.")
        monkeypatch.undo()
        page.wait("document.querySelector('#notices .stuck') === null")
        shows(page, "thing 1")
        second.unlink()
        page.key("r")
        page.wait("document.querySelector('#notices .refused')?.textContent.includes('any more')")
        page.close()
    assert len(read_record(first).verdicts) == 1


def test_what_can_not_be_accepted_says_why(browser: Browser, records: Path) -> None:
    path = write_goal(records, script=("no call",) * 8)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        page.key("a")
        assert page.run("document.querySelector('[data-judgement=accept]').disabled")
        assert "nothing to accept" in page.run("document.querySelector('[data-judgement=accept]').title")
        assert page.run("document.querySelector('#start').disabled")
        page.key("x")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    (verdict,) = read_record(path).verdicts
    assert verdict.absent


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844)])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_seen(browser: Browser, records: Path, tmp_path: Path, width: int, height: int, dark: bool) -> None:
    image = picture(3)[0]
    write_goal(records, image=image, instruction=LONG)
    with serving(records, ClassicalSegmenter()) as server:
        page = browser.page(server.address.url, size=(width, height))
        if dark:
            page.dark()
        shows(page, LONG)
        click_on(page, 160, 120)
        drawn(page)
        time.sleep(0.2)  # for the last frame: nothing tells when it is painted
        page.screenshot(tmp_path / "shot.png")
        assert page.run("document.documentElement.scrollWidth") <= width
        for button in ("accept", "reject", "absent", "correct"):
            x0, _, x1, _ = page.box(f"[data-judgement={button}]")
            assert 0 <= x0 < x1 <= width
        page.close()
    pixels = cv2.imread(str(tmp_path / "shot.png"))
    assert pixels is not None
    blue, green, red = (pixels[:, :, channel].astype(int) for channel in range(3))
    assert np.count_nonzero((blue > 200) & (green > 200) & (red < 90)) > 100, "no outline is to be seen"
    corner = pixels[-3:, 3:6].mean()
    assert (corner < 60) == dark
