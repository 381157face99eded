"""The HTML page, as text and in a real browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import chromium
from fakes import FakeFinder
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Find, Finish, GiveUp, ReportAmbiguous
from rsagent_ros.agent.actions import render as render_call
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.viewer.page import Shown, render

HOSTILE = "the red ball <script>document.title='owned'</script> <img src=x onerror=\"document.title='owned'\">"


class DiscSegmenter:
    """Draws the ellipse that fills the box."""

    name = "disc"

    def encode(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        return image.shape[0], image.shape[1]

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        canvas = np.zeros(encoding, np.uint8)
        assert prompt.box is not None
        x0, y0, x1, y1 = prompt.box
        centre, axes = (int((x0 + x1) / 2), int((y0 + y1) / 2)), (int((x1 - x0) / 2), int((y1 - y0) / 2))
        cv2.ellipse(canvas, centre, axes, 0, 0, 360, 1, -1)
        return [Candidate(canvas.astype(np.bool_), 0.9, canvas * np.float32(10) - 5)]


def said(call: str) -> Reply:
    return Reply(f"<think>{HOSTILE}</think><tool_call>{call}</tool_call>", seconds=0.25)


@pytest.fixture(scope="module")
def shown() -> Shown:
    frame = np.full((240, 320, 3), 200, np.uint8)
    cv2.circle(frame, (100, 100), 30, (200, 40, 30), -1)
    episode = Episode(frame, HOSTILE, DiscSegmenter(), Budget(seconds=600), goal_id="</script>")
    episode.step(said('{"name": "zoom", "arguments": {"box": [100, 100, 600, 700]}}'))
    episode.step(said('{"name": "segment", "arguments": {"box": [200, 200, 700, 700], "negative": [[900, 900]]}}'))
    episode.step(Reply("no call at all </script><script>document.title='owned'</script>"))
    episode.step(said('{"name": "finish", "arguments": {"mask": 1}}'))
    assert episode.done
    return Shown(episode.trace, frame, {"IoU": "0.93", HOSTILE: HOSTILE})


@pytest.fixture(scope="module")
def page(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render([shown, shown], HOSTILE), encoding="utf-8")
    return path


def test_page_holds_every_turn_and_needs_no_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count('<li class="turn"') == 8  # four turns, shown twice
    for word in (
        "zoom",
        "segment",
        "finish",
        "no_call",
        "mask 1, score 0.90",
        "0.93",
        "looked at 32, 24 to 192, 168 px of the frame",
    ):
        assert word in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)


def test_a_zoomed_view_is_drawn_on_the_frame_and_a_mask_can_be_taken_off(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count('<rect class="zoom" x="32" y="24" width="160" height="144"/>') == 6  # turns 2 to 4, shown twice
    turns = re.findall(r'<div class="stage toggle">(.*?)</div>', text, re.DOTALL)
    assert len(turns) == 4  # the overlay that came back, and the result; shown twice
    assert all(turn.count("<img") == 2 for turn in turns)


def test_a_second_look_is_shown_with_its_crop_and_its_reason(shown: Shown) -> None:
    episode = Episode(shown.frame, "the ball", DiscSegmenter(), Budget(seconds=600, second_look=True))
    episode.step(said('{"name": "segment", "arguments": {"box": [200, 200, 700, 700]}}'))
    assert episode.step(said('{"name": "finish", "arguments": {"mask": 1}}')) is None
    reason = json.dumps(HOSTILE).replace("<", "\\u003c")
    assert (
        episode.submit_verification(said(f'{{"name": "report_absent", "arguments": {{"reason": {reason}}}}}'))
        is not None
    )
    episode.step(said('{"name": "finish", "arguments": {"mask": 1}}'))
    page = render([Shown(episode.trace, shown.frame)], "now")
    assert page.count('<figure class="second">') == 1
    assert 'second look at mask 1: <b class="no">no</b>, the red ball &lt;script&gt;' in page
    assert page.count("<script") == 1


def test_sizes_of_pictures_are_shown_where_memory_was_full(shown: Shown) -> None:
    first, *others = shown.trace.turns
    small = replace(shown.trace, turns=(replace(first, picture_sizes=((288, 216), (96, 64))), *others))
    assert "288 x 216, 96 x 64 pixels" in render([replace(shown, trace=small)], "now")
    assert "memory was full" not in render([shown], "now")


def test_a_follow_up_shows_the_question_that_it_answers(shown: Shown) -> None:
    before = (Exchange(f"the ball {HOSTILE}", "The left one or the right one?"),)
    episode = Episode(shown.frame, "the left one", DiscSegmenter(), previous=before)
    page = render([Shown(episode.trace, shown.frame)], "now")
    assert "<dt>answers</dt><dd>&ldquo;the ball the red ball &lt;script&gt;" in page
    assert "&rdquo;: The left one or the right one?</dd>" in page
    assert "<dt>answers</dt>" not in render([shown], "now")
    assert page.count("<script") == 1


def test_no_text_from_outside_becomes_markup(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 1
    assert "onerror=&#34;" in text
    assert 'onerror="' not in text


def test_an_unfinished_trace_can_be_shown(shown: Shown) -> None:
    episode = Episode(shown.frame, "the ball", DiscSegmenter())
    assert "running" in render([Shown(episode.trace, shown.frame)], "now")


def test_browser_shows_each_turn_and_runs_no_script_of_the_goal(page: Path, tmp_path: Path) -> None:
    dom = chromium("--dump-dom", page.as_uri(), profile=tmp_path / "profile")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert title.group(1).startswith("the red ball &lt;script&gt;")
    assert dom.count('<li class="turn"') == 8


@pytest.mark.parametrize("width", [1400, 390])
def test_browser_draws_the_pictures(shown: Shown, tmp_path: Path, width: int) -> None:
    shot, page = tmp_path / "shot.png", tmp_path / "index.html"
    page.write_text(render([shown], "now"), encoding="utf-8")
    chromium(f"--screenshot={shot}", f"--window-size={width},1600", page.as_uri(), profile=tmp_path / f"profile{width}")
    pixels = cv2.imread(str(shot))
    assert pixels is not None
    red = (pixels[:, :, 2] > 150) & (pixels[:, :, 1] < 90) & (pixels[:, :, 0] < 90)
    assert red.sum() > 1000, "the ball of the frame is not to be seen"


def test_the_turn_that_ends_shows_what_was_accepted_or_asked_about() -> None:
    known = {"mug": [Box(0.1, 0.2, 0.3, 0.8), Box(0.6, 0.2, 0.8, 0.8)]}
    frame = np.full((120, 160, 3), 128, dtype=np.uint8)
    for call, caption in (
        (Finish((1,)), "what was accepted"),
        (ReportAmbiguous((1, 2), "Which?"), "the candidates, in the order of the question"),
        (GiveUp("I do not know a mug.", masks=(1, 2)), "what could be meant"),
    ):
        episode = Episode(frame, "the mug", FakeFinder(known))
        for action in (Find("mug"), call):
            episode.step(Reply(f"<think>So.</think>{render_call(action)}"))
        page = render([Shown(episode.trace, frame)], "A page")
        assert "the masks that came back, by their ids" in page
        assert caption in page
        assert 'alt="the answer of turn 2"' in page
