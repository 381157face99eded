"""`rsagent evaluate`, `score` and `compare` from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_cases import write_drawn, write_image

from rsagent_ros.cli import main
from rsagent_ros.datasets import KINDS as DATASETS
from rsagent_ros.evaluation.commands.evaluate import KINDS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "reference"
    assert main(["evaluate", "masks", str(data), "--out", str(out), "--quiet"]) == 0
    return out


def test_evaluate_writes_the_report_and_goes_on_with_nothing_to_do(
    done: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (done / "scores.csv").read_bytes()
    assert main(["evaluate", "masks", str(data), "--out", str(done)]) == 0
    said = capsys.readouterr()
    assert "2 samples" in said.out
    assert str(done / "index.html") in said.out
    assert "gIoU" in said.err  # the progress bar
    assert (done / "scores.csv").read_bytes() == before
    assert json.loads((done / "report.json").read_text())["metrics"]["giou"]["value"] > 0.9


def test_score_of_the_agents_own_masks_is_that_of_the_agent(
    done: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for line in (done / "results.jsonl").read_text().splitlines()[1:]:
        one = json.loads(line)
        rows.append({"id": one["row"]["id"], "mask": one["mask"], "confidence": one["row"]["confidence"]})
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["score", "--truth", str(data), "--predictions", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    ours, theirs = (json.loads((folder / "report.json").read_text()) for folder in (done, tmp_path / "out"))
    for name in ("giou", "ciou", "p50", "boundary_f", "n_acc", "t_acc"):
        assert ours["metrics"][name] == theirs["metrics"][name]
    assert ours["calibration"] == theirs["calibration"]
    assert theirs["measured"] == {}
    assert main(arguments) == 1
    assert "not overwriting" in capsys.readouterr().err
    assert main(["compare", str(done), str(tmp_path / "out"), "--out", str(tmp_path / "both")]) == 0
    differences = json.loads((tmp_path / "both/comparison.json").read_text())["differences"]
    assert differences["giou"]["value"] == 0
    assert not differences["giou"]["clear"]


def test_exit_code_3_says_that_something_was_skipped(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "m.png"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    (tmp_path / "truth.jsonl").write_text((data / "truth.jsonl").read_text() + "{\n")
    assert main(["evaluate", "masks", str(tmp_path), "--out", str(tmp_path / "out"), "--quiet"]) == 3
    assert "1 skipped" in capsys.readouterr().out


def test_nothing_that_can_be_used_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "truth.jsonl").write_text("{\n")
    assert main(["evaluate", "masks", str(tmp_path), "--out", str(tmp_path / "out"), "--quiet"]) == 1
    assert "truth.jsonl, line 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--in-flight", "0"], "in flight"),
        (["--ray", "auto"], "--workers"),
        (["--split", "val"], "no splits"),
        (["--budget", "0"], "greater than 0"),
        (["--seed", "9"], "another run"),
    ],
)
def test_bad_usage_is_exit_code_2_and_one_line(
    done: Path, data: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert main(["evaluate", "masks", str(data), "--out", str(done), *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_dataset_that_is_not_there_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "scenes", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "scenes.jsonl is missing" in capsys.readouterr().err


def test_runs_of_other_samples_cannot_be_compared(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "x.png", __import__("numpy").zeros((8, 8), "uint8"))
    (tmp_path / "predictions.jsonl").write_text("")
    assert main(["score", "--truth", str(tmp_path), "--predictions", str(tmp_path), "--out", str(tmp_path / "o")]) == 0
    capsys.readouterr()
    assert main(["compare", str(done), str(tmp_path / "o"), "--out", str(tmp_path / "both")]) == 2
    assert capsys.readouterr().err == "rsagent compare: the two runs have no sample in common\n"


def test_runs_that_were_held_against_masks_of_others_cannot_be_compared(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one before somebody drew the mask of a goal, the other after."""
    lines = [json.loads(line) for line in (done / "results.jsonl").read_text().splitlines()]
    name = lines[1]["row"]["id"]
    lines[1]["row"]["self_judged"] = True
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["compare", str(tmp_path), str(done), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert f"sample {name} is held against an accepted mask in one run, and against a person's in the other" in told
    del lines[1]["row"]["credit"]  # as release 0.1.0 wrote it
    del lines[1]["row"]["self_judged"]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(arguments) == 0


def test_no_command_prints_a_doubled_percent_sign(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("evaluate", "score", "compare", "calibrate", "shadow"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "%%" not in capsys.readouterr().out


def test_help_knows_every_dataset_and_loads_little() -> None:
    assert KINDS == DATASETS
    code = (
        "import sys; from rsagent_ros.cli import main\n"
        "try: main(['evaluate', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'ray', 'tqdm', 'transformers') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"
    assert "--in-flight" in said
