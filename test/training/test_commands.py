"""The command line of training: quick and without torch until something runs, one sentence for what a user can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rsagent_training
from rsagent_ros import cli


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = """
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"torch", "transformers", "trl", "peft", "datasets", "accelerate"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from rsagent_ros.cli import main
try:
    main(["--help"])
except SystemExit as done:
    sys.exit(done.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("sft", "grpo", "merge", "miniature"):
        assert name in done.stdout


def test_a_missing_extra_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(rsagent_training, "sft", raising=False)  # another test may have imported it
    monkeypatch.setitem(sys.modules, "rsagent_training.sft", None)
    assert cli.main(["sft", "recipe.yaml", "--out", str(tmp_path)]) == 1
    assert "pip install -e '.[training]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sft", "none.yaml", "--out", "o"], "none.yaml: No such file"),
        (["merge", "nowhere", "--to", "m"], "nowhere has no recipe.yaml"),
        (["miniature", "none.yaml", "--out", "o"], "none.yaml: No such file"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_one(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("trl", reason="the extra [training] is not installed")
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
