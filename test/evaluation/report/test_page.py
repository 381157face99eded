"""The HTML reports, as text and in a real browser."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Browser
from chromium import chromium
from evaluation_cases import box, fake_models, image, write_image
from fakes import ABSENT, AMBIGUOUS, FINISH, SEGMENT, SEGMENT_LEFT, FakeConversation, FakePolicy

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.backends import Choice
from rsagent_ros.cli import main
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import save_examples
from rsagent_ros.datasets import Dataset
from rsagent_ros.evaluation.evaluator import Evaluated, EvaluationConfig, evaluate
from rsagent_ros.evaluation.report.files import FILES, write_report

HOSTILE = (
    "the thing </iframe></script><script>top.document.title='owned'</script> "
    "<img src=x onerror=\"top.document.title='owned'\">"
)
SCRIPTS = {"good": (SEGMENT, FINISH), "bad": (SEGMENT_LEFT, FINISH)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs over six scenes and a broken one; `good` finds more, `fails` nothing."""
    folder = tmp_path_factory.mktemp("report")
    scenes = []
    for number in range(6):
        pixels = image(number) // 4
        pixels[15:45, 20:60] = (220, 40, 30)
        masks = () if number == 5 else (box(20, 15, 60, 45),)
        expected = Outcome.FOUND if masks else Outcome.NOT_IN_VIEW
        words = f"{HOSTILE} {number}"
        scenes.append(Example(f"s{number}", pixels, words, expected, masks, source=HOSTILE, tags=(HOSTILE,)))
    save_examples(scenes, folder / "scenes")
    with (folder / "scenes/scenes.jsonl").open("a") as rows:
        rows.write('{"id": "</script><script>top.document.title=1</script>"\n')
    for name, script in SCRIPTS.items():
        write_report(folder / name, run(folder, name, FakePolicy(script)), show=4)
    write_report(folder / "perfect", run(folder, "perfect", Knowing()), show=4)
    assert (
        main(["compare", str(folder / "bad"), str(folder / "good"), "--out", str(folder / "both"), "--show", "3"]) == 0
    )
    return folder


class Knowing(FakePolicy):
    """Finds the first five, and says of the last that it is not there."""

    def __init__(self) -> None:
        super().__init__(())
        self._left = 5

    def open(self) -> FakeConversation:
        self._left -= 1
        return FakePolicy((SEGMENT, FINISH) if self._left >= 0 else (ABSENT,)).open()


def run(folder: Path, name: str, policy: FakePolicy) -> Evaluated:
    plan = EvaluationConfig(Dataset("scenes", str(folder / "scenes")), Choice(), Budget(seconds=60.0))
    return evaluate(plan, folder / name, models=lambda: fake_models(policy))


def test_all_files_are_there(folder: Path) -> None:
    for name in FILES:
        assert (folder / "good" / name).stat().st_size > 0


@pytest.mark.parametrize("name", ["good", "both"])
def test_page_needs_no_network_and_takes_no_markup_from_outside(folder: Path, name: str) -> None:
    text = (folder / name / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert text.count("<script") == 1
    assert 'onerror="' not in text


def test_the_worst_samples_hold_their_whole_traces(folder: Path) -> None:
    text = (folder / "bad/index.html").read_text(encoding="utf-8")
    assert text.count("<iframe") == 4
    assert text.count("Turn 2") == 4
    assert "6 of 6 samples were answered wrong" in text
    assert "1 samples could not be used" in text
    assert "scenes.jsonl, line 7" in text


def test_what_was_answered_right_is_none_of_the_worst(folder: Path) -> None:
    text = (folder / "good/index.html").read_text(encoding="utf-8")
    assert text.count("<iframe") == 1
    assert re.search(r'<article class="sample"[^>]*data-outcome="found"[^>]*data-words="s5 ', text)
    perfect = (folder / "perfect/index.html").read_text(encoding="utf-8")
    assert "No sample was answered wrong" in perfect
    assert "<iframe" not in perfect


def test_cards_lead_to_the_samples_that_they_are_short_of(folder: Path, browser: Browser) -> None:
    page = browser.page((folder / "good/index.html").as_uri())
    visible = "document.querySelectorAll('#rows tbody tr:not([hidden])').length"
    page.wait(f"{visible} === 6")
    assert page.run("document.querySelector('.card[data-short=p50]') === null"), "no target is short of it"
    page.click(".card[data-short=n_acc]")
    page.wait(f"location.hash === '#worst' && {visible} === 1")
    assert page.run("document.querySelectorAll('.sample:not([hidden]) img').length") == 1
    page.click("#short")
    page.wait(f"{visible} === 6")
    assert page.complaints() == []
    page.close()


@pytest.mark.parametrize("name", ["good", "bad", "both"])
def test_no_column_is_cut_on_a_phone(folder: Path, browser: Browser, name: str) -> None:
    page = browser.page((folder / name / "index.html").as_uri(), size=(400, 800))
    page.wait("document.readyState === 'complete'")
    assert page.run("document.documentElement.scrollWidth") <= 400
    wide = "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).length"
    assert page.run(wide) == 0
    page.close()


def test_the_comparison_says_what_is_better(folder: Path) -> None:
    text = (folder / "both/index.html").read_text(encoding="utf-8")
    assert re.search(r"<td[^>]*>gIoU</td>.*better", text)
    assert text.count("<iframe") == 6


def test_browser_runs_our_script_and_no_other(folder: Path, tmp_path: Path) -> None:
    dom = chromium("--virtual-time-budget=3000", "--dump-dom", (folder / "good/index.html").as_uri(), profile=tmp_path)
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert title.group(1).startswith("reference and classical on scenes")
    assert re.search(r'class="tally"[^>]*>6 samples, gIoU 0\.833', dom)  # five found, and a mask where nothing was


FILTER = """
<script>
document.querySelector('button[data-outcome="failed"]').click();
const shown = (what) => [...document.querySelectorAll(what)].filter((one) => !one.hidden).length;
const failed = shown("#rows tbody tr"), cards = shown(".sample");
document.querySelector('button[data-outcome=""]').click();
document.querySelector(".filters input").value = "s3";
document.querySelector(".filters input").dispatchEvent(new Event("input"));
document.querySelector("details").open = true;
document.title = `${failed} ${cards} ${shown("#rows tbody tr")} ${document.querySelector(".tally").textContent}`;
</script>
"""


def test_browser_filters_by_outcome_and_words(folder: Path, tmp_path: Path) -> None:
    calls = iter(range(100))

    class Failing(FakePolicy):
        """Fails at every second scene."""

        def open(self) -> FakeConversation:
            return FakePolicy((SEGMENT, FINISH) if next(calls) % 2 else (ValueError("lost"),)).open()

    page = write_report(folder / "fails", run(folder, "fails", Failing()), show=6)
    page.write_text(page.read_text().replace("</body>", FILTER + "</body>"))
    dom = chromium("--virtual-time-budget=3000", "--dump-dom", page.as_uri(), profile=tmp_path)
    assert "<title>3 3 1 1 samples, gIoU 1.000</title>" in dom


@pytest.mark.parametrize(("name", "width"), [("good", 1400), ("good", 390), ("both", 1400)])
def test_browser_draws_pictures_and_curves(folder: Path, tmp_path: Path, name: str, width: int) -> None:
    shot = tmp_path / "shot.png"
    size = f"--window-size={width},5200"
    chromium(f"--screenshot={shot}", size, (folder / name / "index.html").as_uri(), profile=tmp_path / "profile")
    pixels = cv2.imread(str(shot))
    assert pixels is not None
    blue, green, red = (pixels[:, :, channel].astype(int) for channel in range(3))
    assert np.count_nonzero((red > 150) & (green < 80) & (blue > 100)) > 300, "no curve or outline is to be seen"
    assert np.count_nonzero((green > 100) & (green > red + 30) & (green > blue + 15)) > 1000, "no hit is to be seen"


def test_without_matplotlib_the_page_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in FILES[:4]:
        (folder / "good" / name).unlink()
    page = write_report(folder / "good", run(folder, "good", FakePolicy(SCRIPTS["good"])), show=1)
    text = page.read_text(encoding="utf-8")
    assert "pip install -e '.[evaluation]'" in text
    assert "<svg" not in text


def test_samples_that_are_gone_leave_a_page_without_pictures(folder: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "data/a.png", image())
    (tmp_path / "data/truth.jsonl").write_text('{"id": "a", "image": "a.png", "instruction": "x"}\n')
    plan = EvaluationConfig(Dataset("masks", str(tmp_path / "data")), Choice(), Budget(seconds=60.0))
    asking = FakePolicy([SEGMENT, SEGMENT_LEFT, AMBIGUOUS])
    found = evaluate(plan, tmp_path / "out", models=lambda: fake_models(asking))
    (tmp_path / "data/truth.jsonl").unlink()
    assert "the dataset is not at hand" in write_report(tmp_path / "out", found, show=3).read_text()
