"""`rsagent shadow`: the comparison from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from shadow_cases import write_circles

from rsagent_ros.cli import main
from rsagent_ros.shadow.paired_result import PRESENT_GOALS

SMALL = ["--view-side", "64"]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    write_circles(folder, PRESENT_GOALS)
    return folder


def run(records: Path, folder: Path, *more: str, candidate: str = "policy: reference") -> int:
    (folder / "candidate.yaml").write_text(candidate)
    words = ["shadow", str(records), "--candidate", str(folder / "candidate.yaml"), "--out", str(folder / "out")]
    return main([*words, "--budget", "60", "--goals", str(PRESENT_GOALS), *more])


def test_a_better_candidate_is_promotable(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(records, tmp_path, *SMALL) == 0
    said = capsys.readouterr()
    assert f"{2 * PRESENT_GOALS} answers" in said.err
    *_, compare, last = said.out.splitlines()
    assert last.startswith("promotable: value 0.")
    assert compare.startswith("rsagent compare ")
    assert main([*compare.split(" shows")[0].replace("DIR", str(tmp_path / "both")).split()[1:]]) == 0
    # Again there is nothing left to answer.
    answers = sorted(tmp_path.glob("out/answers/*/results.jsonl"))
    before = [path.read_bytes() for path in answers]
    assert run(records, tmp_path, *SMALL) == 0
    assert [path.read_bytes() for path in answers] == before


def test_the_same_the_other_way_round_is_not(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(records, tmp_path, "--quiet", candidate="view_side: 64") == 3
    said = capsys.readouterr()
    assert "not promotable: value -0.200 of the candidate" in said.out
    assert "not clearly above 0" in said.out
    assert said.err == ""


def test_an_incumbent_may_be_a_file_too(records: Path, tmp_path: Path) -> None:
    (tmp_path / "incumbent.yaml").write_text("view_side: 64")
    assert run(records, tmp_path, "--quiet", "--incumbent", str(tmp_path / "incumbent.yaml")) == 0


def test_too_few_goals(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(records, tmp_path, "--quiet", *SMALL, "--goals", "30") == 3
    assert "30 goals are needed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "candidate", "told"),
    [
        ([], "policy: telepathy", "there is no policy 'telepathy'"),
        ([], "policy: reference", "are the same: there is nothing to find out"),
        (["--goals", "0"], "view_side: 64", "--goals 0: at least 1"),
        (["--budget", "-1"], "view_side: 64", "seconds is -1.0"),
    ],
)
def test_bad_usage(
    records: Path, tmp_path: Path, more: list[str], candidate: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(records, tmp_path, *more, candidate=candidate) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()


def test_no_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none", tmp_path, *SMALL) == 1
    assert "none: there is no such folder; a node with record_dir writes one" in capsys.readouterr().err


def test_models_that_can_not_be_loaded(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = "segmenter: sam2\nsettings: {sam2.checkpoint: /nowhere}"
    assert run(records, tmp_path, "--quiet", candidate=broken) == 1
    assert "the candidate can't be loaded" in capsys.readouterr().err


def test_the_help_is_quick_and_needs_nothing() -> None:
    words = [sys.executable, "-X", "importtime", "-m", "rsagent_ros.cli", "shadow", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--candidate FILE" in done.stdout
    assert "rsagent_ros.shadow.comparison" not in done.stderr
