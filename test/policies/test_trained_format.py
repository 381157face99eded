"""The chat of a checkpoint: what it was trained with, and whose it is where no file says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rsagent_ros.agent.actions import ALL_TOOLS, FIRST_TOOLS
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.policies.family import CHAT_TEMPLATE
from rsagent_ros.policies.trained_format import (
    FIRST_FORMAT,
    NAME,
    NEWEST_FORMAT,
    TrainedFormat,
    trained_format,
    write_format,
)

SQUARES = TrainedFormat("square", ALL_TOOLS)


def folder(path: Path, *, template: str = "") -> Path:
    path.mkdir()
    if template:
        (path / CHAT_TEMPLATE.name).write_text(template, encoding="utf-8")
    return path


def test_the_file_beside_the_weights_counts(tmp_path: Path) -> None:
    base, adapter = folder(tmp_path / "base"), folder(tmp_path / "adapter")
    write_format(base, SQUARES)
    assert trained_format(base) == SQUARES
    write_format(adapter, NEWEST_FORMAT)
    assert trained_format(base, adapter) == NEWEST_FORMAT


def test_what_release_0_1_0_trained_knows_squares_and_its_tools(tmp_path: Path) -> None:
    ours = folder(tmp_path / "merged", template=CHAT_TEMPLATE.read_text(encoding="utf-8"))
    assert trained_format(ours) == FIRST_FORMAT
    write_format(ours, NEWEST_FORMAT)
    assert trained_format(ours, folder(tmp_path / "adapter")) == FIRST_FORMAT


def test_what_was_never_trained_on_a_chat_takes_the_newest(tmp_path: Path) -> None:
    assert trained_format(folder(tmp_path / "stock", template="{{ messages }}")) == NEWEST_FORMAT
    assert trained_format(folder(tmp_path / "bare")) == NEWEST_FORMAT


def test_a_file_without_tools_is_of_the_time_when_there_were_no_others(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"overlay": "view"}', encoding="utf-8")
    assert trained_format(tmp_path) == TrainedFormat("view", FIRST_TOOLS)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"overlay": "round"}',
        '{"overlay": 1}',
        '{"overlay": "view", "tools": "finish"}',
        '{"overlay": "view", "tools": ["finish", "click"]}',
        '{"overlay": "view", "tools": ["zoom"]}',
    ],
)
def test_a_file_that_says_nothing_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content, encoding="utf-8")
    with pytest.raises(RunFailed, match=NAME):
        trained_format(tmp_path)


def test_a_checkpoint_is_loaded_with_its_overlays_and_tools(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra [models] is not installed")
    from local_cases import tiny_folder

    from rsagent_ros.policies.family import QWEN3_VL
    from rsagent_ros.policies.local import LocalConfig, load_local_policy

    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder(QWEN3_VL), copy)
    for trained in (NEWEST_FORMAT, FIRST_FORMAT):
        write_format(copy, trained)
        pictures = load_local_policy(LocalConfig(str(copy), device="cpu", side=96)).pictures
        assert (pictures.overlay, pictures.tools) == (trained.overlay, trained.tools)
