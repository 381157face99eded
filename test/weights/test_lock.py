"""Weights that were fetched are held against their lock, on any machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.weights.lock import LOCK_NAME, Lock, LockedFile, locked_folders, verify, write_lock

CONTENT = b"weights"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(CONTENT)
    locked = LockedFile(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    write_lock(folder, Lock("m", "a/m", "0" * 40, {"model.safetensors": locked}))
    return folder


def refused(folder: Path, sentence: str) -> None:
    with pytest.raises(RunFailed, match=sentence) as failure:
        verify(folder)
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(folder) in failure.value.message


def test_what_was_written_is_read_again(folder: Path) -> None:
    lock = verify(folder)
    assert (lock.name, lock.repo, lock.version, list(lock.files)) == ("m", "a/m", 1, ["model.safetensors"])
    assert [path.name for path in folder.iterdir() if "partial" in path.name] == []


def test_a_missing_a_cut_and_a_changed_file(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(b"Weights")
    refused(folder, "model.safetensors was changed")
    weights.write_bytes(CONTENT[:3])
    refused(folder, "has 3 bytes instead of 7; fetch the weights again")
    weights.unlink()
    refused(folder, "model.safetensors is missing")


def test_no_lock(folder: Path) -> None:
    (folder / LOCK_NAME).unlink()
    refused(folder, "nothing to check against")


@pytest.mark.parametrize("text", ["", "[]", '{"name": 3}', "\x00", '{"name": "m", "repo": "r", "commit": "c"}'])
def test_a_lock_that_is_none(folder: Path, text: str) -> None:
    (folder / LOCK_NAME).write_text(text)
    refused(folder, "can't be read")


@pytest.mark.parametrize("name", ["../model/model.safetensors", "/etc/passwd", "a/../../b"])
def test_a_lock_looks_at_nothing_outside_of_its_folder(folder: Path, name: str) -> None:
    content: dict[str, Any] = json.loads((folder / LOCK_NAME).read_text())
    content["files"] = {name: content["files"]["model.safetensors"]}
    (folder / LOCK_NAME).write_text(json.dumps(content))
    refused(folder, "outside of its folder")


def test_a_folder_of_folders(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    assert locked_folders(folder) == [folder]
    assert locked_folders(folder.parent) == [folder]
    assert locked_folders(folder.parent / "other") == []
