"""Checkpoint folders with faults: how to make one, and what a loader has to say of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def assert_refused(load: Callable[[Path], object], folder: Path, sentence: str, file: str = "") -> None:
    """It is refused with this sentence, which names the file; put right, it would load."""
    with pytest.raises(RunFailed, match=sentence) as failure:
        load(folder)
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(folder / file) in failure.value.message
    assert "\n" not in failure.value.message


def forbid_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection fail the test, with the hub's own switch off."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
