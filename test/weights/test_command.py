"""`rsagent models` as people type it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

from fake_hub import FakeHub

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.segmenters.sam2 import open_sam2
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_finder import open_sam2_finder
from rsagent_ros.segmenters.sam3 import open_sam3
from rsagent_ros.segmenters.sam3_config import Sam3Config
from rsagent_ros.trackers.sam2_video import open_sam2_tracker
from rsagent_ros.weights.catalogue import CATALOGUE
from rsagent_ros.weights.command import add_commands
from rsagent_ros.weights.lock import LOCK_NAME

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import argparse, sys
from rsagent_ros.weights.command import add_commands
parser = argparse.ArgumentParser(prog="rsagent")
add_commands(parser.add_subparsers())
arguments = parser.parse_args()
sys.exit(arguments.command(arguments))
"""


def run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="rsagent")
    add_commands(parser.add_subparsers())
    arguments = parser.parse_args(["models", *words])
    return int(arguments.command(arguments))


def test_fetch_then_verify_in_processes_of_their_own(tmp_path: Path) -> None:
    name = "sam2.1-hiera-tiny"
    environment = {
        key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    }
    with FakeHub(CATALOGUE[name].repo, {"config.json": b"{}", "model.safetensors": b"w" * 5_000_000}) as hub:
        command = [sys.executable, "-c", PROGRAM, "models", "fetch", name, "--into", "weights"]
        environment |= {"HF_ENDPOINT": hub.url, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "2 files, 5.0 MB" in done.stdout
    assert "licence Apache-2.0" in done.stdout
    assert (tmp_path / "weights" / name / LOCK_NAME).is_file()
    assert run("verify", str(tmp_path / "weights")) == 0
    (tmp_path / "weights" / name / "config.json").write_bytes(b"[]")
    with pytest.raises(RunFailed, match=r"config\.json was changed"):
        run("verify", str(tmp_path / "weights"))


def test_verify_of_a_folder_without_locks(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"holds no rsagent-models\.lock\.json"):
        run("verify", str(tmp_path))


@pytest.mark.parametrize("name", ["sam9", "sam2.1-hiera-tiny@", "@main"])
def test_an_unknown_name_says_which_there_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("fetch", name)
    assert end.value.code == 2
    assert f"there is no '{name}'; choose from sam2.1-hiera-tiny, " in capsys.readouterr().err


def test_help_lists_names_sizes_and_licences(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("fetch", "--help")
    shown = capsys.readouterr().out
    for name, item in CATALOGUE.items():
        (line,) = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
        assert item.licence in line
        assert ("gated" in line) == item.gated
    assert "`hf auth login`" in shown


def test_tiny_makes_checkpoints_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tiny", str(tmp_path / "tiny")) == 0
    told = capsys.readouterr().out
    for name in ("sam2", "sam2_video", "sam3_tracker"):
        assert str(tmp_path / "tiny" / name) in told
        open_sam2(Sam2Config(str(tmp_path / "tiny" / name), device="cpu")).warm_up()
    open_sam3(Sam3Config(str(tmp_path / "tiny" / "sam3"), device="cpu")).warm_up()
    for name in ("mm_grounding_dino", "owlv2"):
        folders = [str(tmp_path / "tiny" / one) for one in ("sam2", name)]
        open_sam2_finder(Sam2Config(folders[0], device="cpu", finder=folders[1])).warm_up()
    open_sam2_tracker(Sam2Config(str(tmp_path / "tiny" / "sam2_video"), device="cpu")).warm_up()
    for name in ("qwen2_5_vl", "qwen3_vl"):
        assert (tmp_path / "tiny" / name / "model.safetensors").is_file()
    assert "edgetam" in told
    assert not (tmp_path / "tiny" / "edgetam").exists() or any((tmp_path / "tiny" / "edgetam").iterdir())
    with pytest.raises(FileExistsError, match="is not empty"):
        run("tiny", str(tmp_path / "tiny"))
