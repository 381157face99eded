"""A checkpoint as Hugging Face lays it out, one folder: what must be in it before any of it is loaded.

Only safetensors are read, never pickles, and never from a network. What is wrong becomes one sentence: which file, what
was expected, what to do. Imports no torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_JSON_BYTES = 100_000_000

FETCH = "get one with `rsagent models fetch NAME`, or name another folder"
AGAIN = "copy the checkpoint again, or get it with `rsagent models fetch`"


def unusable(what: str, remedy: str) -> RunFailed:
    """The error for a checkpoint that can't be loaded: what is wrong, and what to do."""
    return RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"{what}; {remedy}")


def read_config(folder: Path) -> dict[str, Any]:
    """The checkpoint's config.json.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: no such folder or file, or it is not JSON with a `model_type`.
    """
    if not folder.is_dir():
        raise unusable(f"{folder} is no folder with a checkpoint", FETCH)
    config = read_json(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise unusable(f"{folder / 'config.json'} names no model_type, so it is no model's configuration", FETCH)
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a checkpoint.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: it is missing or holds something else.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise unusable(f"{path} is larger than {MAX_JSON_BYTES // 1_000_000} MB", AGAIN)
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise unusable(f"{path} is missing", AGAIN) from error
    except (OSError, ValueError) as error:
        raise unusable(f"{path} can't be read as JSON ({describe(error)})", AGAIN) from error
    if not isinstance(content, dict):
        raise unusable(f"{path} holds no JSON object", AGAIN)
    return content


def check_weights(folder: Path) -> list[Path]:
    """The checkpoint's safetensors, each of them there and of the length that its header says.

    Only headers are read: a few milliseconds, however large the files.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: a file is missing, cut short or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if (folder / INDEX).is_file():
        names = read_json(folder / INDEX).get("weight_map")
        if not isinstance(names, dict) or not names or not all(_plain(name) for name in names.values()):
            raise unusable(f"{folder / INDEX} names no files of weights beside it", AGAIN)
        files = [folder / name for name in sorted(set(names.values()))]
    else:
        files = [folder / SINGLE]
    for path in files:
        if not path.is_file():
            raise unusable(f"{path} is missing (weights are read from safetensors only)", AGAIN)
        try:
            with safe_open(path, "np") as tensors:
                tensors.keys()
        except (SafetensorError, OSError) as error:
            raise unusable(f"{path} is cut short or damaged ({describe(error)})", AGAIN) from error
    return files


def _plain(name: object) -> bool:
    """Whether this is the name of a file in the same folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name
