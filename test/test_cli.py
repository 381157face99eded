"""`rsagent` as a program: exit codes, files, and errors that say what to do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.turn import Trace
from rsagent_ros.cli import main


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red and a blue disc on gray."""
    pixels = np.full((240, 320, 3), 190, np.uint8)
    cv2.circle(pixels, (90, 120), 40, (40, 40, 210), -1)
    cv2.circle(pixels, (230, 120), 40, (200, 80, 30), -1)
    path = tmp_path_factory.mktemp("picture") / "discs.png"
    cv2.imwrite(str(path), pixels)
    return path


def test_found(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(picture), "the red circle", "--out", str(tmp_path), "--budget", "60"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["outcome"] == "found"
    truth = np.zeros((240, 320), np.uint8)
    cv2.circle(truth, (90, 120), 40, 255, -1)
    mask = cv2.imread(str(tmp_path / "mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert iou(np.asarray(mask) > 0, truth > 0) > 0.9
    assert Trace.from_json((tmp_path / "trace.json").read_text()).outcome == "found"
    assert (tmp_path / "index.html").is_file()
    assert "found" in capsys.readouterr().out


def test_a_second_look_is_in_the_trace_and_on_the_page(picture: Path, tmp_path: Path) -> None:
    command = ["run", str(picture), "the red circle", "--out", str(tmp_path), "--budget", "60", "--second-look"]
    assert main(command) == 0
    trace = Trace.from_json((tmp_path / "trace.json").read_text())
    assert [look.verdict for look in trace.second_looks] == ["yes"]
    assert "second look at mask" in (tmp_path / "index.html").read_text()


def test_votes_are_in_the_trace_and_on_the_page(picture: Path, tmp_path: Path) -> None:
    command = ["run", str(picture), "the red circle", "--out", str(tmp_path), "--budget", "60", "--votes", "3"]
    assert main([*command, "--votes-seconds", "60"]) == 0
    trace = Trace.from_json((tmp_path / "trace.json").read_text())
    assert (trace.outcome, trace.attempt, trace.votes[0]) == ("found", 1, 1)
    assert len(trace.attempts) == 2
    assert "Votes" in (tmp_path / "index.html").read_text()
    assert json.loads((tmp_path / "result.json").read_text())["votes"] == [*trace.votes]


def test_absent_is_no_failure(picture: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rsagent_ros.cli", "run", str(picture), "the green square", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--budget", "60", "--quiet"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("not_in_view")
    assert json.loads((tmp_path / "result.json").read_text())["bbox"] is None
    assert not (tmp_path / "mask.png").exists()


@pytest.mark.parametrize("finder", ["sam3", "mm_grounding_dino", "owlv2"])
def test_words_with_tiny_random_weights_end_cleanly(picture: Path, tmp_path: Path, finder: str) -> None:
    pytest.importorskip("torch", reason="the segmenters sam2 and sam3 need torch")
    from rsagent_ros.weights.tiny_detectors import save_tiny_mm_grounding_dino, save_tiny_owlv2
    from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2
    from rsagent_ros.weights.tiny_sam3 import save_tiny_sam3

    if finder == "sam3":
        save_tiny_sam3(tmp_path / "sam3")
        chosen = ["--segmenter", "sam3", "--sam3.checkpoint", str(tmp_path / "sam3"), "--sam3.threshold", "0"]
    else:
        save_tiny_sam2(tmp_path / "sam2")
        {"mm_grounding_dino": save_tiny_mm_grounding_dino, "owlv2": save_tiny_owlv2}[finder](tmp_path / finder)
        chosen = ["--segmenter", "sam2", "--sam2.checkpoint", str(tmp_path / "sam2")]
        chosen += ["--sam2.finder", str(tmp_path / finder), "--sam2.finder_threshold", "0.01"]
    command = ["run", str(picture), "the circles", "--out", str(tmp_path / "out"), "--budget", "60", *chosen]
    assert main(command) == 0
    trace = Trace.from_json((tmp_path / "out" / "trace.json").read_text())
    assert "find" in trace.pictures.tools
    assert trace.outcome != "failed"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "no/such.png", "the ball", "--out", "x"], "there is no such file"),
        (["run", __file__, "the ball", "--out", "x"], "not an image"),
        (["run", "PICTURE", "  ", "--out", "x"], "the instruction is empty"),
        (["run", "PICTURE", "the ball", "--out", "x", "--budget", "-1"], "seconds is -1.0"),
        (["run", "PICTURE", "the ball", "--out", "x", "--budget", "nan"], "seconds is nan"),
        (["run", "PICTURE", "the ball", "--out", "x", "--max-turns", "0"], "max_turns is 0"),
        (["run", "PICTURE", "the ball", "--out", "PICTURE"], "is a file; name a folder"),
    ],
)
def test_bad_usage(
    picture: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(picture) if word == "PICTURE" else word for word in arguments]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("arguments", [[], ["run"], ["fly"], ["run", "a.png", "b", "--out", "c", "--policy", "none"]])
def test_what_argparse_refuses_is_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rsagent")


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    return capsys.readouterr().out


def test_every_command_has_help_that_argparse_has_formatted(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^    ([a-z]+)\b", help_of(capsys), re.MULTILINE)
    assert {"run", "evaluate", "compare", "label", "sft", "miniature"} <= set(commands)
    for command in commands:
        text = help_of(capsys, command)
        assert "%%" not in text, command
        assert "%(" not in text, command


def test_an_instruction_that_is_too_long_fails_with_its_code(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(picture), "red " * 5000, "--out", str(tmp_path)]) == 1
    assert "INVALID_GOAL: the instruction has 19999 characters" in capsys.readouterr().err
