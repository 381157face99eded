"""What must be in a checkpoint's folder, seen before anything of it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="the extra [models] is not installed")

from safetensors.numpy import save_file

from rsagent_ros import checkpoint
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.checkpoint import INDEX, SINGLE, check_weights, read_config, read_json


def test_files_that_are_whole_are_named(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "one.safetensors")
    save_file({"b": np.zeros(3)}, tmp_path / "two.safetensors")
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"b": "two.safetensors", "a": "one.safetensors"}}))
    assert [path.name for path in check_weights(tmp_path)] == ["one.safetensors", "two.safetensors"]
    (tmp_path / INDEX).unlink()
    save_file({"a": np.zeros(3)}, tmp_path / SINGLE)
    assert [path.name for path in check_weights(tmp_path)] == [SINGLE]


@pytest.mark.parametrize(
    "weights", [{}, [], None, {"a": 3}, {"a": ""}, {"a": "../a.safetensors"}, {"a": "/etc/passwd"}]
)
def test_an_index_names_files_beside_it_only(tmp_path: Path, weights: object) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weights}))
    with pytest.raises(RunFailed, match="names no files of weights beside it") as failure:
        check_weights(tmp_path)
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "sam2", "a": 1}')
    assert read_config(tmp_path) == {"model_type": "sam2", "a": 1}


def test_files_that_are_no_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RunFailed, match="can't be read as JSON"):
        read_json(path)
    path.write_text("[]")
    with pytest.raises(RunFailed, match="holds no JSON object"):
        read_json(path)
    monkeypatch.setattr(checkpoint, "MAX_JSON_BYTES", 1)
    with pytest.raises(RunFailed, match="is larger than"):
        read_json(path)
