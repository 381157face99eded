"""The HTML page in a real browser: clicks, keys, playback, and many goals on one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Browser, Page
from fakes import FINISH, SEGMENT, FakePolicy, FakeSegmenter

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.viewer.page import Shown, render
from rsagent_ros.viewer.playback import TrackedFrame

ZOOM = '<think>Closer.</think><tool_call>{"name": "zoom", "arguments": {"box": [100, 100, 600, 700]}}</tool_call>'
GOALS = 24
OPEN = "[...document.querySelectorAll('.goal[open]')].map((one) => one.id).join()"
FOCUSED = "document.activeElement.id"
SHOWN_FRAME = "[...document.querySelectorAll('#goal-1 .film figure')].findIndex((one) => !one.hidden)"


@pytest.fixture(scope="module")
def goals() -> list[Shown]:
    """Goals of three turns each, right and wrong in turn; the first one was tracked."""
    frame = np.full((240, 320, 3), 200, np.uint8)
    cv2.circle(frame, (160, 120), 40, (200, 40, 30), -1)
    episode = Episode(frame, "the red ball beside the box", FakeSegmenter(), goal_id="g")
    drive(episode, FakePolicy((ZOOM, SEGMENT, FINISH)))
    plain = Shown(episode.trace, frame)
    disc = frame[:, :, 1] < 100
    track = tuple(
        TrackedFrame(second, np.roll(frame, 10 * second, 1), None if second == 3 else np.roll(disc, 10 * second, 1))
        for second in range(4)
    )
    return [replace(plain, right=None if n == 2 else n % 2 == 0, track=track if n == 0 else ()) for n in range(GOALS)]


def opened(browser: Browser, folder: Path, goals: list[Shown], size: tuple[int, int] = (1400, 900)) -> Page:
    file = folder / "index.html"
    file.write_text(render(goals, "Goals"), encoding="utf-8")
    page = browser.page(file.as_uri(), size=size)
    page.wait("document.readyState === 'complete' && document.title === 'Goals'")
    return page


@pytest.mark.parametrize("size", [(1400, 900), (400, 800)])
def test_many_goals_are_three_screens_at_most_until_one_is_opened(
    browser: Browser, tmp_path: Path, goals: list[Shown], size: tuple[int, int]
) -> None:
    page = opened(browser, tmp_path, goals, size)
    assert page.run("document.documentElement.scrollHeight") <= 3 * size[1]
    assert page.run("document.documentElement.scrollWidth") <= size[0]
    page.click("#goal-2 > summary")
    assert page.run(OPEN) == "goal-2"
    assert page.run("document.documentElement.scrollWidth") <= size[0]
    assert page.complaints() == []
    page.close()


def test_pictures_of_goals_that_are_closed_are_not_decoded(
    browser: Browser, tmp_path: Path, goals: list[Shown]
) -> None:
    page = opened(browser, tmp_path, goals)
    lazy = "[...document.querySelectorAll('.goal > :not(summary) img')]"
    assert page.run(f"{lazy}.every((one) => one.loading === 'lazy' && one.checkVisibility() === false)")
    page.click("#goal-1 > summary")
    page.wait(
        f"{lazy}.filter((one) => one.closest('#goal-1 .result') && one.complete && one.naturalWidth).length === 2"
    )
    page.close()


def test_right_and_wrong_stand_beside_the_outcome_where_it_is_known(
    browser: Browser, tmp_path: Path, goals: list[Shown]
) -> None:
    page = opened(browser, tmp_path, goals)
    marks = "[...document.querySelectorAll('.goal > summary .ended')].slice(0, 4).map((one) => one.innerText)"
    told = page.run(marks)
    assert ["right" in one for one in told] == [True, False, False, False]
    assert ["wrong" in one for one in told] == [False, True, False, True]
    assert "11 right" in page.text(".tally")
    assert "12 wrong" in page.text(".tally")
    page.close()


def test_keys_go_from_turn_to_turn_and_goal_to_goal(browser: Browser, tmp_path: Path, goals: list[Shown]) -> None:
    page = opened(browser, tmp_path, goals)
    for key, focused in (("j", "goal-1-turn-1"), ("j", "goal-1-turn-2"), ("k", "goal-1-turn-1")):
        page.key(key)
        page.wait(f"{FOCUSED} === '{focused}'")
    page.key("c")
    assert not page.run("document.querySelector('#goal-1-turn-1 > details').open")
    page.key("n")
    page.wait("document.activeElement.closest('.goal').id === 'goal-2'")
    page.key("o")
    assert page.run(OPEN) == "goal-1,goal-2"
    page.key("j")
    page.wait(f"{FOCUSED} === 'goal-2-turn-1'")
    page.key("m")
    assert page.run("document.body.matches('.unmasked')")
    page.key("?")
    page.wait("document.querySelector('#keys').open")
    assert "next and previous turn" in page.text("#keys")
    page.key("Escape")
    page.wait("!document.querySelector('#keys').open")
    assert page.complaints() == []
    page.close()


def test_thumbnails_lead_to_their_turns(browser: Browser, tmp_path: Path, goals: list[Shown]) -> None:
    page = opened(browser, tmp_path, goals[3:4])
    assert page.run("document.querySelectorAll('.strip a img').length") == 3
    page.key("c")
    assert page.run("document.querySelectorAll('.turn > details[open]').length") == 0
    page.click(".strip a:nth-child(2)")
    page.wait(f"{FOCUSED} === 'goal-1-turn-2'")
    assert page.run("document.querySelector('#goal-1-turn-2 > details').open")
    page.close()


def test_a_click_shows_a_picture_larger_with_what_is_drawn_on_it(
    browser: Browser, tmp_path: Path, goals: list[Shown]
) -> None:
    page = opened(browser, tmp_path, goals[3:4])
    page.click("#goal-1-turn-1 .stage")
    page.wait("document.querySelector('#zoom').open && document.querySelector('#zoom rect.zoom') !== null")
    x0, _, x1, _ = page.box("#zoom img")
    assert x1 - x0 > 1000
    page.click_at(700, 450)
    page.wait("!document.querySelector('#zoom').open")
    page.key("z")
    page.wait("document.querySelector('#zoom').open")
    page.key("Escape")
    page.wait("!document.querySelector('#zoom').open")
    assert page.complaints() == []
    page.close()


def test_coordinates_have_their_unit(browser: Browser, tmp_path: Path, goals: list[Shown]) -> None:
    page = opened(browser, tmp_path, goals[3:4])
    assert (
        page.text("#goal-1-turn-1 .place")
        == "box 100, 100 to 600, 700 ‰ of the view = 32, 24 to 192, 168 px of the frame"
    )
    page.close()


def test_a_tracked_goal_is_played_and_looked_through(browser: Browser, tmp_path: Path, goals: list[Shown]) -> None:
    page = opened(browser, tmp_path, goals)
    page.click("#goal-1 > summary")
    assert page.run(SHOWN_FRAME) == 0
    page.click("#goal-1 .play")
    page.wait(f"{SHOWN_FRAME} === 3")
    page.wait("document.querySelector('#goal-1 .play').textContent === 'play'")
    assert "3.0 s later: lost" in page.text("#goal-1 .film figure:nth-child(4) figcaption")
    page.run("document.querySelector('#goal-1 .player input').focus()")
    page.key("ArrowDown")
    page.wait(f"{SHOWN_FRAME} === 2")
    assert page.complaints() == []
    page.close()


def test_an_address_opens_its_goal_or_turn(browser: Browser, tmp_path: Path, goals: list[Shown]) -> None:
    page = opened(browser, tmp_path, goals)
    page.run("location.hash = '#goal-5-turn-2'")
    page.wait(f"{FOCUSED} === 'goal-5-turn-2'")
    page.run("location.hash = '#goal-7'")
    page.wait(f"{OPEN} === 'goal-5,goal-7'")
    page.close()
