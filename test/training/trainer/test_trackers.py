"""Trackers: tensorboard where it is installed, else a line; a named one that is missing is refused with a sentence."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")

from training_cases import sft_recipe, write_some

from rsagent_training import sft
from rsagent_training.trainer import trackers
from rsagent_training.trainer.trackers import report_to


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found: Any = lambda name: ModuleSpec(name, None) if name in names else None  # noqa: E731
    monkeypatch.setattr(trackers, "find_spec", found)


def test_tensorboard_is_taken_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(monkeypatch, "tensorboard", "wandb")
    assert report_to("auto") == ["tensorboard"]
    assert report_to("wandb") == ["wandb"]
    assert report_to("none") == []
    assert capsys.readouterr().err == ""


def test_without_one_a_line_says_so_and_a_named_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(monkeypatch)
    assert report_to("auto") == []
    assert capsys.readouterr().err.count("\n") == 1
    for name in ("tensorboard", "wandb", "trackio"):
        with pytest.raises(ValueError, match=rf"report_to is {name}, which is not installed: pip install {name}"):
            report_to(name)


def test_a_run_reports_its_figures_to_the_tracker_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in tensorboardX's place, as transformers calls it where there is no tensorboard."""
    logged: list[tuple[str, float, int]] = []
    folders: list[str] = []

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            folders.append(log_dir)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            logged.append((name, value, step))

        def add_text(self, *_: Any) -> None: ...

        def flush(self) -> None: ...

        def close(self) -> None: ...

    stand_in: Any = ModuleType("tensorboardX")
    stand_in.__spec__, stand_in.SummaryWriter = ModuleSpec("tensorboardX", None), SummaryWriter
    monkeypatch.setitem(sys.modules, "tensorboardX", stand_in)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    write_some(tmp_path / "t", 2)
    recipe = sft_recipe(tmp_path / "t", epochs=2, optimisation={"report_to": "tensorboard"})
    sft.train(recipe, tmp_path / "run")
    assert [Path(folder).relative_to(tmp_path / "run").parts[0] for folder in folders] == ["runs"]
    curve = json.loads((tmp_path / "run" / "curve.json").read_bytes())
    rows = [(row["loss"], row["step"]) for row in curve if "loss" in row]
    assert [(value, step) for name, value, step in logged if name == "train/loss"] == rows
    assert len(rows) == 2
