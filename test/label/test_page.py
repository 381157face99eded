"""The page in a real browser: real keys, real clicks, a server that dies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Browser, Page
from fakes import ABSENT, FINISH, SEGMENT, FakeSegmenter
from labelling import LabelProcess, picture, serving, write_goal

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.geometry import Box, View
from rsagent_ros.agent.mask import Mask, bounding_box, iou
from rsagent_ros.label.goals import Goals, Listed
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import add_verdict, record_files
from rsagent_ros.segmenters.classical import ClassicalSegmenter

HOSTILE = (
    "</p></script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<svg onload=\"document.title='owned'\">"
)
LONG = " ".join(["a very long instruction"] * 8)
READY = "!document.querySelector('[data-judgement=reject]').disabled"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


def goals(folder: Path, count: int) -> list[Path]:
    """So many goals, called "thing 0" and so on, in the order of the list."""
    return [write_goal(folder, f"g{number}", instruction=f"thing {number}") for number in range(count)]


def shows(page: Page, instruction: str) -> None:
    """Wait until a goal is open and can be judged."""
    page.wait(f"document.querySelector('#asked h2')?.textContent === {json.dumps(f'“{instruction}”')} && {READY}")


def click_on(page: Page, x: float, y: float, button: str = "left", to: tuple[float, float] | None = None) -> None:
    """Click on a pixel of the image of 320 x 240; `to` drags."""
    x0, y0, x1, _ = page.box("#frame")
    scale = (x1 - x0) / 320
    end = None if to is None else (x0 + to[0] * scale, y0 + to[1] * scale)
    page.click_at(x0 + x * scale, y0 + y * scale, button, end)


def middle(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def drawn(page: Page) -> None:
    """Wait until the mask for all clicks is there."""
    page.wait(
        "document.querySelector('#said').textContent.includes('pixels') && !document.querySelector('#picture.busy')"
    )


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


def test_a_correction_by_clicks_is_the_thing_that_was_meant(browser: Browser, records: Path) -> None:
    image, (thing, other, *_) = picture(1)
    path = write_goal(records, image=image)
    with serving(records, ClassicalSegmenter()) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        assert page.run("document.querySelector('[data-judgement=correct]').disabled")
        click_on(page, *middle(thing.mask))
        drawn(page)
        click_on(page, *middle(other.mask), button="right")
        page.wait("document.querySelectorAll('#clicks .negative:not(.rim)').length === 1")
        drawn(page)
        page.key("s")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    (verdict,) = read_record(path).verdicts
    assert verdict.mask is not None
    assert iou(verdict.mask, thing.mask) > 0.9
    assert not verdict.mask[other.mask].any()


def test_a_correction_can_start_from_the_answer(browser: Browser, records: Path) -> None:
    image, (thing, other, *_) = picture(1)
    view = View.whole(320, 240)
    boxes = []
    for mask in (thing.mask, other.mask):
        box = bounding_box(mask)
        assert box is not None
        boxes.append(view.box_to_view(box))
    both = [f"<think>x</think>{render(Segment(Box(*map(round, (b.x0, b.y0, b.x1, b.y1)))))}" for b in boxes]
    path = write_goal(records, image=image, script=(*both, f"<think>x</think>{render(Finish((1, 2)))}"))
    with serving(records, ClassicalSegmenter()) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        click_on(page, *middle(other.mask), button="right")  # the first thing said is what does not belong there
        drawn(page)
        assert page.run("document.querySelector('#start').ariaPressed") == "true"
        page.click("[data-judgement=correct]")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    (verdict,) = read_record(path).verdicts
    assert verdict.mask is not None
    assert verdict.mask[thing.mask].mean() > 0.9
    assert not verdict.mask[other.mask].any()


def test_clicks_boxes_undo_and_clear(browser: Browser, records: Path) -> None:
    path = write_goal(records)
    segmenter = FakeSegmenter()
    inner = "[...document.querySelectorAll('#clicks > :not(.rim):not(.under)')]"
    marks = f"{inner}.map((one) => one.getAttribute('class')).join()"
    with serving(records, segmenter) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        click_on(page, 20, 30, to=(100, 90))
        page.wait(f"{marks} === 'box'")
        click_on(page, 60, 60)
        page.wait(f"{marks} === 'box,positive'")
        page.key("t")
        click_on(page, 40, 40)
        page.wait(f"{marks} === 'box,negative,positive'")
        drawn(page)
        prompt = segmenter.prompts[-1]
        assert prompt.box is not None
        assert np.allclose([prompt.box.x0, prompt.box.y0, prompt.box.x1, prompt.box.y1], [20, 30, 100, 90], atol=0.5)
        assert np.allclose([(p.x, p.y) for p in (*prompt.positive, *prompt.negative)], [(60, 60), (40, 40)], atol=0.5)
        page.key("u")
        page.wait(f"{marks} === 'box,positive'")
        page.key("c")
        page.wait(f"{marks} === '' && document.querySelector('[data-judgement=correct]').disabled")
        page.key("u")
        page.wait(f"{marks} === 'box,positive'")
        drawn(page)
        page.key("e")
        page.wait("document.querySelector('#start').ariaPressed === 'true'")
        drawn(page)
        assert segmenter.prompts[-1].prior is not None
        page.key("s")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    assert read_record(path).verdicts[0].mask is not None


def test_closer_a_click_is_where_it_is_seen(browser: Browser, records: Path) -> None:
    write_goal(records)
    segmenter = FakeSegmenter()
    with serving(records, segmenter) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        x0, y0, x1, y1 = page.box("#frame")
        x, y = x0 + (x1 - x0) / 4, y0 + (y1 - y0) / 2
        page.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-500)
        page.wait("document.querySelector('#picture').viewBox.baseVal.width < 120")
        page.click_at(x, y)
        drawn(page)
        point = segmenter.prompts[-1].positive[0]
        assert np.allclose((point.x, point.y), (80, 120), atol=1.0)
        before = page.run("document.querySelector('#picture').viewBox.baseVal.x")
        page.click_at(x, y, "right", to=(x + 60, y))
        page.wait(f"document.querySelector('#picture').viewBox.baseVal.x < {before - 3}")
        page.key("f")
        page.wait("document.querySelector('#picture').viewBox.baseVal.width === 320")
        assert page.run("document.querySelectorAll('#clicks .negative').length") == 0
        page.close()


def test_a_segmenter_that_fails_says_why_on_the_page(browser: Browser, records: Path) -> None:
    path = write_goal(records)
    with serving(records, FakeSegmenter("out_of_memory")) as server:
        page = browser.page(server.address.url)
        shows(page, "the thing")
        click_on(page, 60, 60)
        page.wait("document.querySelector('#said.error')?.textContent.includes('memory is full')")
        assert page.run("document.querySelector('[data-judgement=correct]').disabled")
        page.key("r")
        page.wait("document.querySelector('#tally').textContent === '1 of 1 judged'")
        page.close()
    assert len(read_record(path).verdicts) == 1


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


def test_the_list_goes_on_where_the_server_has_not_read_all_yet(
    browser: Browser, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = goals(records, 3)
    read = threading.Event()

    def slowly(goals: Goals, seconds: float) -> Listed:
        listed = all_rows(goals, 60.0)
        return listed if read.is_set() else Listed(listed.rows[:1], 2, listed.version)

    all_rows = Goals.rows
    monkeypatch.setattr(Goals, "rows", slowly)
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
        assert page.run("document.querySelector('#note').value") == "as it was"
        assert page.run("document.querySelector('#keep').hidden")
        page.key("n")
        page.type(", or better")
        page.click("#keep")
        page.wait("document.querySelectorAll('.verdicts li').length === 2")
        page.wait("document.querySelector('#keep').hidden")
        page.key("r")
        page.wait("document.querySelectorAll('.verdicts li').length === 3")
        page.close()
    given = [(verdict.accepted, verdict.note) for verdict in read_record(path).verdicts]
    assert given == [(True, "as it was"), (True, "as it was, or better"), (False, "as it was, or better")]


def test_a_verdict_that_can_not_be_stored_waits_and_is_tried_again(
    browser: Browser, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = goals(records, 2)
    with serving(records) as server:
        page = browser.page(server.address.url)
        shows(page, "thing 0")

        def full(*_: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("rsagent_ros.label.goals.add_verdict", full)
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
