"""Overlays of a checkpoint: those that it was trained with, and whose they are where no file says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.policies.family import CHAT_TEMPLATE
from rsagent_ros.policies.trained_format import NAME, trained_overlay, write_overlay


def folder(path: Path, *, template: str = "") -> Path:
    path.mkdir()
    if template:
        (path / CHAT_TEMPLATE.name).write_text(template, encoding="utf-8")
    return path


def test_the_file_beside_the_weights_counts(tmp_path: Path) -> None:
    base, adapter = folder(tmp_path / "base"), folder(tmp_path / "adapter")
    write_overlay(base, "square")
    assert trained_overlay(base) == "square"
    write_overlay(adapter, "view")
    assert trained_overlay(base, adapter) == "view"


def test_what_release_0_1_0_trained_knows_squares(tmp_path: Path) -> None:
    ours = folder(tmp_path / "merged", template=CHAT_TEMPLATE.read_text(encoding="utf-8"))
    assert trained_overlay(ours) == "square"
    write_overlay(ours, "view")
    assert trained_overlay(ours, folder(tmp_path / "adapter")) == "square"


def test_what_never_saw_an_overlay_takes_the_view_s_shape(tmp_path: Path) -> None:
    assert trained_overlay(folder(tmp_path / "stock", template="{{ messages }}")) == "view"
    assert trained_overlay(folder(tmp_path / "bare")) == "view"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"overlay": "round"}', '{"overlay": 1}'])
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content, encoding="utf-8")
    with pytest.raises(RunFailed, match=NAME):
        trained_overlay(tmp_path)


def test_a_checkpoint_is_loaded_with_its_overlays(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra [models] is not installed")
    from local_cases import tiny_folder

    from rsagent_ros.policies.family import QWEN3_VL
    from rsagent_ros.policies.local import LocalConfig, load_local_policy

    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder(QWEN3_VL), copy)
    for overlay in ("view", "square"):
        write_overlay(copy, overlay)
        assert load_local_policy(LocalConfig(str(copy), device="cpu", side=96)).pictures.overlay == overlay
